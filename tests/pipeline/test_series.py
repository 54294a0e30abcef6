"""A series of seeds: the same tasks, the base once, interrupted and continued, a deadline for all."""

from __future__ import annotations

import io
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.cli import TINY, Run
from support.scorers import open_rewards_by_hash
from thinkaloud.config import parse_recipe_text
from thinkaloud.evaluate.rows import read_rows
from thinkaloud.pipeline import evaluation as evaluation_module
from thinkaloud.pipeline import opening, seeds
from thinkaloud.pipeline import train as train_module
from thinkaloud.pipeline.opening import TrainOptions
from thinkaloud.pipeline.seeds import compare_seeds, seed_recipes, train_seeds
from thinkaloud.pipeline.stopping import StopRequested
from thinkaloud.pipeline.train import train
from thinkaloud.storage.run_directory import RunDir
from thinkaloud.tracking.display import Display
from thinkaloud.train.grpo_step import GrpoTrainer

TEXT = Path(TINY).read_text(encoding="utf-8")
RECIPE = parse_recipe_text(
    TEXT,
    (
        *("seed=5", "cold_start.max_steps=0", "rollout.max_new_tokens=4", "grpo.max_steps=1"),
        *("checkpoint.every_steps=1", "evaluate.tasks_per_domain=2", "data.domains=['math']"),
        *("data.generated={math=3}", "evaluate.stages=['base', 'trained']"),
    ),
)
OPTIONS = TrainOptions(recipe=RECIPE, recipe_text=TEXT, out=Path())


def losses(run: Path) -> list[tuple[int, float]]:
    return [(row["step"], row["reward"]) for row in RunDir(run).rows()]


class Crash(Exception):
    """The machine went away."""


@pytest.mark.slow
def test_a_series_is_interrupted_continued_and_compared(tmp_path: Path) -> None:
    out, real_step = tmp_path / "series", GrpoTrainer.step
    evaluated: list[tuple[str, str, bool]] = []

    def step(self: GrpoTrainer, *arguments: Any) -> Any:
        if self.recipe.seed == 6:
            raise Crash
        return real_step(self, *arguments)

    def evaluation(context: Any, stage: str, adapter: Any) -> None:
        evaluated.append((context.run.path.name, stage, (context.run.evaluation / f"{stage}.parquet").exists()))
        evaluation_module.run_evaluation(context, stage, adapter)

    text = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, Display(text) as display:
        patch.setattr(opening, "open_scorer", open_rewards_by_hash)
        patch.setattr(train_module, "run_evaluation", evaluation)
        with pytest.MonkeyPatch.context() as crash:
            crash.setattr(GrpoTrainer, "step", step)
            with pytest.raises(Crash):
                train_seeds(replace(OPTIONS, out=out), 2, display)
        assert evaluated == [("seed-0", "base", False), ("seed-0", "trained", False), ("seed-1", "base", True)]
        first = [path.stat().st_mtime_ns for path in (out / "seed-0" / "eval").iterdir()]
        runs = train_seeds(replace(OPTIONS, out=out, resume=True), 2, display)
        assert runs == [out / "seed-0", out / "seed-1"]
        assert [path.stat().st_mtime_ns for path in (out / "seed-0" / "eval").iterdir()] == first, "not run again"
        assert compare_seeds(runs, out, display) is not None
        alone = seed_recipes(RECIPE, 2)[1]
        train(replace(OPTIONS, recipe=alone, out=tmp_path / "alone"), display)
    assert f"{out / 'seed-0'} is finished" in text.getvalue()
    resolved = [json.loads((run / "resolved.json").read_text()) for run in runs]
    assert [(own.pop("seed"), own["data"]["seed"]) for own in resolved] == [(5, 5), (6, 5)]
    assert resolved[0] == resolved[1], "nothing else differs"
    tasks = [(run / "pool" / "tasks.parquet").read_bytes() for run in (*runs, tmp_path / "alone")]
    assert tasks[0] == tasks[1] == tasks[2]
    assert read_rows(out / "seed-0/eval/base.parquet") == read_rows(out / "seed-1/eval/base.parquet")
    assert read_rows(out / "seed-1/eval/base.parquet") == read_rows(tmp_path / "alone/eval/base.parquet")
    assert losses(runs[0]) != losses(runs[1]) == losses(tmp_path / "alone"), "the same as the seed by itself"
    assert {"compare.html", "rates.csv", "curves.svg", "seeds.json"} <= {path.name for path in out.iterdir()}


def fake_run(path: Path) -> None:
    path.mkdir(parents=True)
    (path / "resolved.json").write_text("{}")


def test_a_signal_ends_the_series_also_at_the_end_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    def short(options: TrainOptions, display: Display, stop: Any) -> None:
        started.append(options.out.name)
        fake_run(options.out)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.2)

    monkeypatch.setattr(seeds, "train", short)
    with Display(io.StringIO()) as display, pytest.raises(StopRequested, match="SIGTERM"):
        train_seeds(replace(OPTIONS, out=tmp_path / "s"), 3, display)
    assert started == ["seed-0"]
    assert json.loads((tmp_path / "s" / "seeds.json").read_text()) == {"finished": ["seed-0"]}


def test_the_time_left_is_divided_over_the_seeds_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, given = 100.0, []

    def short(options: TrainOptions, display: Display, stop: Any) -> None:
        nonlocal now
        assert options.ends_at is not None
        given.append(options.ends_at - now)
        fake_run(options.out)
        now += 10.0 if len(given) == 1 else 200.0

    monkeypatch.setattr(seeds, "train", short)
    monkeypatch.setattr(seeds, "session_clock", lambda: now)
    text = io.StringIO()
    with Display(text) as display:
        runs = train_seeds(replace(OPTIONS, out=tmp_path / "s", ends_at=190.0), 3, display)
        assert compare_seeds(runs, tmp_path / "s", display) is None
    assert given == [30.0, 40.0], "90 s for three; 80 s for two; nothing for the last"
    assert [run.name for run in runs] == ["seed-0", "seed-1"]
    assert "no time left" in text.getvalue()
    assert "not compared" in text.getvalue()


def test_the_command_s_mistakes(run: Run, tmp_path: Path) -> None:
    out = str(tmp_path / "used")
    fake_run(Path(out))
    assert "exists already" in run("train", TINY, "--seeds", "2", "--out", out).mistake
    assert "single process" in run("train", TINY, "--seeds", "2", "--coordinator", "auto").mistake
    ended = run("train", TINY, "--seeds", "2", "--out", str(tmp_path / "none"), "--resume")
    assert ended.code == 2
    assert "no run directory" in ended.err
    assert run("train", TINY, "--seeds", "1").code == 2
