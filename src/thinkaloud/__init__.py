"""thinkaloud trains a small open language model to write its reasoning before its answer.

The packages in the order of the pipeline:

    data/ -> prompt/ -> model/ -> rollout/ -> rewards/ (domains/, sandbox/) -> train/ -> evaluate/ -> report/ -> export/

Imports go one way; `tests/test_imports.py` holds the order. Only `distributed/` and the packages after it import JAX.

`thinkaloud.api` is for notebooks and scripts. It is imported on first use.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "__version__":  # from the git tag at build time (pyproject.toml)
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("thinkaloud")
        except PackageNotFoundError:
            return "0+unknown"
    if name == "api":
        from importlib import import_module

        return import_module("thinkaloud.api")
    raise AttributeError(f"module 'thinkaloud' has no attribute {name!r}")
