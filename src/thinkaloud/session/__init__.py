"""A recipe or a run directory, opened: model files, prompt contract, task pool, scorer."""
