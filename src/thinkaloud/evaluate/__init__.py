"""Evaluation: completions of held-out tasks -> rows -> per-domain rates with intervals, and paired tests.

    task_file.py    tasks from a file of the user's own
    named_set.py    tasks of a data set by name
    mismatches.py   the prompts of the contract experiment
    run.py          decodes tasks with one policy and scores them (the only module here that needs JAX)
    rows.py         one completion with its score: `eval/<stage>.parquet`
    parts.py        rows of an evaluation under way, so that a killed one goes on
    summary.py      rows -> `eval/summary.json`; the table that a command prints
    paired.py       two stages on the same tasks: McNemar's test, and a sentence
    sampled.py      several samples of a task: pass@k, majority
    statistics.py   Wilson and bootstrap intervals, McNemar's exact test, pass@k

Import the module that you need: `thinkaloud report` reads rows and summaries without loading JAX.
"""
