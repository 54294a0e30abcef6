"""Opens a recipe or a run directory: model files, prompt contract, task pool, scorer."""
