"""Pre-flight checks. Each finding has a level and a remedy.

`preflight` needs no weights and takes seconds; `train` runs it first. `model_checks` samples the base model and times
steps. `judge_checks` compares a judge's work with its budget.
"""
