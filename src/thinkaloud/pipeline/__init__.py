"""`thinkaloud train`, stage by stage: cold start, GRPO, evaluation, report; deadline and resume."""
