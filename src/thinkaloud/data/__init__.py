"""Tasks: where they come from, which are kept, and which make up step k.

`build.build_pool` gathers and checks the tasks that a recipe names (`sources`, `read`, `curate`), `store` keeps them,
`Mixture` is a pure function of (seed, step).
"""

from thinkaloud.data.mixture import Mixture
from thinkaloud.data.pool import Pool

__all__ = ["Mixture", "Pool"]
