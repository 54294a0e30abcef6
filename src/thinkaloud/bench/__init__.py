"""Measures one GRPO step of this package and of other trainers on the same work: `thinkaloud bench RECIPE --peer trl`.

`work` builds the job (weights, prompts, settings), `process` runs one engine on it in a subprocess (`workers`, one
script per engine), `measure` alternates between engines and summarizes their reports, `roofline` computes a lower bound
for the machine. To add a peer, add a script to `workers` and a line to `measure.PEERS`.
"""
