"""Evaluation: greedy completions of held-out tasks -> rows -> per-domain rates with intervals.

    run.py          decodes a split with one policy and scores it (the only module here that needs JAX)
    summary.py      rows -> `eval/<stage>.parquet` and `eval/summary.json`; the table that a command prints
    statistics.py   Wilson and bootstrap intervals, McNemar's exact test

Import the module that you need: `thinkaloud report` reads rows and summaries without loading JAX.
"""
