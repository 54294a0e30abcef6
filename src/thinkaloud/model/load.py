"""A model in device memory: its configuration and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from thinkaloud.errors import UserError
from thinkaloud.fetch.models import ModelFiles
from thinkaloud.model.architecture import Params
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.precision import Dtype, as_bits, base_dtype
from thinkaloud.model.sharding import open_mesh, place
from thinkaloud.model.weights import load_checkpoint


@dataclass(frozen=True, slots=True)
class Model:
    """A frozen base model. `params` has the layout of `model/layout.py`, in the form that `as_bits` returns."""

    config: ModelConfig
    params: Params


def load_model(files: ModelFiles, dtype: Dtype = "auto", mesh: Mapping[str, int] | None = None) -> Model:
    """Read a model's weights and put them on the device.

    Args:
        files: From `fetch.resolve_model`.
        dtype: Of the base; see `precision.base_dtype` for `auto`.
        mesh: Devices by axis, as `sharding.open_mesh` takes them; {} for all devices; one device when None.

    Raises:
        UserError: A file is missing or truncated, the architecture is not supported, or the mesh does not fit.
    """
    wanted = np.dtype(jnp.dtype(base_dtype(dtype)))
    with np.errstate(over="ignore"):  # checked below
        config, params = load_checkpoint(files, wanted)
    if wanted == np.float16 and any(np.isinf(leaf).any() for leaf in jax.tree.leaves(params)):
        raise UserError(
            f'{files.name}: expected weights below 65504 for float16, found larger ones; use model.dtype = "float32"'
        )
    devices = None if mesh is None else open_mesh(mesh, config, wanted.itemsize)
    return Model(config, place(as_bits(params), devices, config))
