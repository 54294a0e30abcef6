"""thinkaloud teaches a small open language model to show its work.

The folders read in the order of the pipeline:

    data/ -> prompt/ -> model/ -> rollout/ -> rewards/ (domains/, sandbox/) -> train/ -> evaluate/ -> report/ -> export/

Imports go one way: records, config, seeding -> prompt -> sandbox -> domains -> rewards -> data -> model -> rollout ->
train -> evaluate -> report, export -> cli. Only `model/` and what comes after it import JAX.
"""

__version__ = "0.1.0"
