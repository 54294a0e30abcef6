"""A model in device memory: its configuration and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import jax
import ml_dtypes
import numpy as np

from thinkaloud.fetch import ModelFiles
from thinkaloud.model.architecture import Params
from thinkaloud.model.checkpoint import load_checkpoint
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.sharding import open_mesh, place


@dataclass(frozen=True, slots=True)
class Model:
    """A frozen base model. `params` is laid out as `model/checkpoint.py` says."""

    config: ModelConfig
    params: Params


def load_model(
    files: ModelFiles, dtype: Literal["auto", "float32", "bfloat16"] = "auto", mesh: Mapping[str, int] | None = None
) -> Model:
    """Read a checkpoint and put it on the device.

    Args:
        files: From `fetch.resolve_model`.
        dtype: Of the base; `auto` is float32 on a CPU and bfloat16 elsewhere.
        mesh: Devices by axis, as `sharding.open_mesh` takes them; one device when None.

    Raises:
        UserError: A file is missing, cut short or of an architecture that is not supported; the mesh does not fit.
    """
    if dtype == "auto":
        dtype = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    config, params = load_checkpoint(files, np.dtype(np.float32 if dtype == "float32" else ml_dtypes.bfloat16))
    return Model(config, place(params, open_mesh(mesh or {}, config), config))
