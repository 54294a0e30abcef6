"""Everything that can be known before training, each finding with its level and its remedy.

`before_training` needs no weights and takes seconds: `train` runs it first. `with_model` samples, weighs and times.
"""
