"""One GRPO step here and in other trainers, on the same work: `thinkaloud bench RECIPE --peer trl --peer tunix`.

`work` makes the job (weights, prompts, settings), `process` runs one engine on it in a process of its own (`workers`,
one script an engine), `measure` lets engines take turns and adds up what they report, `roofline` says what the machine
could do. To add a peer: a script in `workers`, and a line in `measure.PEERS`.
"""
