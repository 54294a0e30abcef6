"""Groups of scored completions in, a better adapter out.

`cold_start` teaches the format by imitation, `grpo` improves on it by reward; `loss`, `advantage` and `schedule` are
the arithmetic, `learner` the device code they share, `checkpoint` what survives a crash, `run` the whole command.
"""
