"""Evaluation: completions of held-out tasks -> rows -> per-domain rates with intervals, and paired tests.

    task_file.py        tasks from the user's own file
    named_set.py        tasks of a data set by name
    mismatches.py       the prompts of the contract experiment
    options.py          what `thinkaloud eval` was asked for
    readings.py         other ways to ask the base
    answers.py          answers read without the tags
    answer.py           decodes tasks with one policy and scores them
    run.py              evaluates the stages of a run, a checkpoint or another model
    rows.py             one completion with its score: `eval/<stage>.parquet`
    partial_results.py  rows of an unfinished evaluation
    summary.py          rows -> `eval/summary.json`; the table that a command prints
    paired.py           two stages on the same tasks: McNemar's test, and a sentence
    headline.py         the trained model against the best reading of the base
    sampled.py          several samples of a task: pass@k, majority
    statistics.py       Wilson and bootstrap intervals, McNemar's exact test, pass@k

Import the module that you need: only `options`, `answer`, `readings`, `run` and `contract_experiment` load JAX.
"""
