"""`train` with `rollout.engine = "vllm"`: given servers that die and come back, and a server of its own."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from support import vllm_server
from support.scorers import open_rewards_by_hash
from support.vllm_server import Fault, Standin, serving
from thinkaloud.checkpoint.files import list_saved
from thinkaloud.config import Recipe, parse_recipe_text
from thinkaloud.errors import UserError
from thinkaloud.pipeline import opening
from thinkaloud.pipeline import sampler as sampler_module
from thinkaloud.pipeline import train as pipeline
from thinkaloud.rollout.sampler import SamplerFailed
from thinkaloud.rollout.vllm import sampler as module
from thinkaloud.storage.run_directory import RunDir
from thinkaloud.tracking.display import Display

pytestmark = pytest.mark.slow

TEXT = (Path(__file__).parents[2] / "recipes" / "tiny.toml").read_text(encoding="utf-8")
OVERRIDES = (
    "rollout.engine='vllm'",
    "rollout.max_new_tokens=8",
    "cold_start.max_steps=0",
    "curriculum.enabled=false",
    "grpo.max_steps=3",
    "checkpoint.every_steps=10",
    "checkpoint.validate_every=0",
    "data.domains=['math']",
    "evaluate.tasks_per_domain=1",
    "evaluate.stages=['trained']",
    "evaluate.readings=[]",
    "vllm.max_retries=1",
)


def recipe_for(*overrides: str) -> Recipe:
    return parse_recipe_text(TEXT, [*OVERRIDES, *overrides])


def at(*standins: Standin) -> Recipe:
    return recipe_for(f"vllm.urls={[one.url for one in standins]}")


def train(out: Path, recipe: Recipe, *, resume: bool = False, allowed_changes: Sequence[str] = ()) -> str:
    """Run the recipe; returns the text of the display."""
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, Display(output) as display:
        patch.setattr(opening, "open_scorer", open_rewards_by_hash)
        patch.setattr(module, "PAUSE_SECONDS", 0.01)
        options = opening.TrainOptions(
            recipe=recipe, recipe_text=TEXT, out=out, resume=resume, allowed_changes=allowed_changes
        )
        pipeline.train(options, display)
    return output.getvalue()


def learned(run: Path) -> list[dict[str, Any]]:
    rows = [row for row in RunDir(run).rows() if row["stage"] == "grpo"]
    return [{key: row[key] for key in ("step", "reward", "loss", "grad_norm", "tokens")} for row in rows]


def test_a_dead_server_ends_the_run_saved_and_a_resume_gives_the_same_numbers(tmp_path: Path) -> None:
    with serving() as standin:
        train(tmp_path / "unbroken", at(standin))
    assert standin.adapters == {}
    with ExitStack() as stack:
        standin = stack.enter_context(serving())
        rows = len(standin.completions)

        def die_in_the_third_step(path: str, body: dict[str, Any]) -> Fault | None:
            return Fault(hang_up=True) if len({one["model"] for one in standin.completions}) > 2 else None

        standin.fault = die_in_the_third_step
        with pytest.raises(SamplerFailed, match=standin.url) as caught:
            train(tmp_path / "broken", at(standin))
        assert rows == 0
        assert "--resume" in str(caught.value)
        assert [saved.step for saved in list_saved(RunDir(tmp_path / "broken").checkpoints)] == [2]
        assert not (tmp_path / "broken" / "vllm").exists()
    with serving() as again:
        text = train(tmp_path / "broken", at(again), resume=True, allowed_changes=["vllm.urls"])
    assert "resumed from" in text
    whole, broken = learned(tmp_path / "unbroken"), learned(tmp_path / "broken")
    assert [row["step"] for row in whole] == [1, 2, 3]
    for one, other in zip(whole, broken, strict=True):
        assert one["tokens"] == other["tokens"]
        for key in ("reward", "loss", "grad_norm"):
            assert one[key] == pytest.approx(other[key], abs=1e-6)
    rollouts = pq.read_table(tmp_path / "unbroken" / "rollouts" / "step-000003.parquet").to_pylist()
    assert len({row["adapter"] for row in rollouts}) == 1
    assert rollouts[0]["adapter"].startswith("thinkaloud-")
    assert rollouts[0]["logprobs"] == rollouts[0]["sampled_logprobs"]


def test_a_server_of_its_own(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && exit 0\nshift 2\nexec {sys.executable} -S {vllm_server.__file__} "$@"\n'
    )
    python.chmod(0o755)
    recipe = recipe_for("grpo.max_steps=1", f"vllm.python='{python}'", "vllm.args=['--own-flag']")
    text = train(tmp_path / "run", recipe)
    assert "vLLM: starting a server" in text
    assert "vLLM: the server is ready" in text
    assert "INFO started" in (tmp_path / "run" / "vllm-server.log").read_text()
    assert not (tmp_path / "run" / "vllm").exists()
    assert [row["step"] for row in learned(tmp_path / "run")] == [1]


def test_what_cannot_sample_is_said_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="make vllm"):
        train(tmp_path / "run", recipe_for(f"vllm.python='{tmp_path / 'none'}'"))
    with pytest.raises(UserError, match="without it"):
        train(tmp_path / "run", recipe_for("vllm.python='/bin/false'"))
    with pytest.raises(UserError, match="THINKALOUD_NO_KEY"):
        train(tmp_path / "run", recipe_for("vllm.urls=['http://a']", "vllm.api_key_env='THINKALOUD_NO_KEY'"))
    assert not (tmp_path / "run").exists()


def test_several_learning_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler_module, "alone", lambda: False)
    with pytest.raises(UserError, match="single process"):
        sampler_module.check_sampler(recipe_for())
    sampler_module.check_sampler(parse_recipe_text(TEXT))
