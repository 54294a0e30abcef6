"""Tasks: where they come from, which are kept, and which make up step k.

`build_pool` gathers and checks the tasks a recipe names; `Mixture` is a pure function of (seed, step).
"""

from thinkaloud.data.mixture import Mixture
from thinkaloud.data.pool import Pool, build_pool

__all__ = ["Mixture", "Pool", "build_pool"]
