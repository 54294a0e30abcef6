"""Training: the cold start and GRPO.

`grpo_step` is one GRPO step from top to bottom, `cold_start` the supervised stage before it. `loss`, `advantage` and
`schedule` hold the formulas, `learner` the device code, `minibatches`, `microbatch` and `memory` the layout on it.
"""
