"""Code that runs in the worker and its children: the zygote, the jail, and the two programs that a jailed child can be.

Standard library only, relative imports only: a worker imports this folder as the top-level package `inside`, by a bare
interpreter that knows neither thinkaloud nor site-packages. `codec` and `wire` are used on both sides.
"""

LAYERS = ("seccomp", "rlimits", "landlock", "uid_drop", "process")
"""Layers that a worker sets up itself (`jail`). The layer `bubblewrap` is around it."""
