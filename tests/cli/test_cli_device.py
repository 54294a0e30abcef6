"""What a command computes on: the first line, an accelerator that JAX cannot use, `--device cpu`."""

from __future__ import annotations

import json

import jax
import pytest

from support.cli import TINY, Run
from thinkaloud.distributed import devices
from thinkaloud.distributed.devices import Accelerator

NO_CODE = ("--set", "data.domains=['math']")  # no sandbox has to start, which a machine may refuse


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """An NVIDIA GPU in this machine, and a JAX without a plugin for it."""
    monkeypatch.setattr(devices, "find_accelerator", lambda *place: Accelerator("an NVIDIA GPU", "cuda12"))
    monkeypatch.setattr("thinkaloud.audit.run.find_accelerator", devices.find_accelerator)
    monkeypatch.setattr(Accelerator, "is_installed", False)
    settings = jax.config
    monkeypatch.setattr(type(settings), "jax_platforms", property(lambda own: CHOSEN.get("platform")), raising=False)
    monkeypatch.setitem(CHOSEN, "platform", None)


CHOSEN: dict[str, str | None] = {}


def test_training_beside_an_unused_gpu_is_one_line(run: Run, with_gpu: None) -> None:
    mistake = run("train", TINY, *NO_CODE).mistake
    assert f"pip install 'jax[cuda12]=={jax.__version__}'" in mistake
    assert "--device cpu" in mistake


def test_an_unknown_device_is_one_line(run: Run) -> None:
    assert "expected auto or cpu" in run("train", TINY, "--device", "tpu").mistake


def test_the_audit_finds_an_unused_gpu(run: Run, with_gpu: None) -> None:
    ended = run("audit", TINY, *NO_CODE, "--json")
    assert ended.code == 1
    finding = json.loads(ended.out)["findings"][0]
    assert (finding["name"], finding["level"]) == ("device", "stop")
    assert "pip install" in finding["remedy"]
    CHOSEN["platform"] = "cpu"
    finding = json.loads(run("audit", TINY, *NO_CODE, "--no-model", "--json").out)["findings"][0]
    assert (finding["name"], finding["level"]) == ("device", "warning")


def test_the_first_line_of_a_run_names_the_device(run: Run) -> None:
    ended = run(
        "train", TINY, *NO_CODE, "--device", "cpu", "--set", "grpo.max_steps=1", "--set", "cold_start.max_steps=0"
    )
    assert ended.code == 0, ended.err
    first = ended.err.splitlines()[0]
    assert first.startswith("device: cpu, ")
    assert "weights float32" in first
    asked = run("generate", "runs/tiny", "2+2?", "--max-new-tokens", "2")
    assert asked.err.splitlines()[0].startswith("device: cpu, ")
