"""thinkaloud teaches a small open language model to show its work.

The folders read in the order of the pipeline:

    data/ -> prompt/ -> model/ -> rollout/ -> rewards/ (domains/, sandbox/) -> train/ -> evaluate/ -> report/ -> export/

Imports go one way: records, config, seeding -> prompt -> sandbox -> domains -> rewards -> data -> model -> rollout ->
train -> evaluate -> report, export -> cli. Only `model/` and what comes after it import JAX.

For notebooks and scripts there is `thinkaloud.api`, which is loaded when it is first used.
"""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "api":
        from importlib import import_module

        return import_module("thinkaloud.api")
    raise AttributeError(f"module 'thinkaloud' has no attribute {name!r}")
