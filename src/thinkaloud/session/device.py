"""The first line of a run: what it computes on."""

from __future__ import annotations

import math
from collections.abc import Callable

from thinkaloud.config import Recipe
from thinkaloud.distributed.devices import check_accelerator, describe_devices
from thinkaloud.model.precision import base_dtype
from thinkaloud.model.sharding import available_devices


def announce_devices(recipe: Recipe, note: Callable[[str], None]) -> None:
    """Print which devices a recipe uses, and in which dtype.

    Raises:
        UserError: An accelerator is present, but JAX runs on the CPU.
    """
    check_accelerator()
    note(f"device: {device_line(recipe)}")


def device_line(recipe: Recipe) -> str:
    """See `describe_devices`."""
    sizes = recipe.mesh_sizes
    used = math.prod(sizes.values()) if sizes else len(available_devices())
    return describe_devices(used, base_dtype(recipe.model.dtype))
