"""Tasks: their sources, which are kept, and which are drawn in step k.

`build.build_pool` reads and checks the tasks of a recipe (`sources`, `read`, `curate`), `store` writes and opens pools,
and `Mixture` is a pure function of (seed, step).

A row of a source is a `rows.RawRow`. It becomes a `Task` or a `rows.Rejection`, and `ledger.Ledger` counts both.
"""

from thinkaloud.data.mixture import Mixture
from thinkaloud.data.pool import Pool

__all__ = ["Mixture", "Pool"]
