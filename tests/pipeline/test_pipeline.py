"""The whole way, on a tiny random model: one unbroken run, the same run broken twice, and every command that reads it.

Rewards are replaced by a hash of the tokens, since a random model never earns any: groups then have signal, and every
update moves the adapter.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from support.cli import Run
from support.scorers import open_rewards_by_hash
from thinkaloud.checkpoint import arrays
from thinkaloud.checkpoint.files import list_saved, read_progress
from thinkaloud.config import Recipe, parse_recipe_text
from thinkaloud.distributed import agreement
from thinkaloud.errors import UserError
from thinkaloud.evaluate.rows import READING_STAGES, read_plan, read_rows
from thinkaloud.pipeline import cold_start as stage_module
from thinkaloud.pipeline import evaluation as evaluation_module
from thinkaloud.pipeline import grpo as grpo_module
from thinkaloud.pipeline import opening
from thinkaloud.pipeline import train as pipeline
from thinkaloud.pipeline.stopping import StopRequested
from thinkaloud.records import Task
from thinkaloud.storage.run_directory import RunDir
from thinkaloud.tracking.display import Display
from thinkaloud.train.grpo_step import GrpoTrainer
from thinkaloud.train.trainer import TrainState

pytestmark = pytest.mark.slow

TEXT = (Path(__file__).parents[2] / "recipes" / "tiny.toml").read_text(encoding="utf-8")
OVERRIDES = (
    "cold_start.max_steps=3",
    "cold_start.probe_from=2",
    "cold_start.probe_tasks=2",
    "cold_start.stop_at_format_rate=1.0",
    "rollout.max_new_tokens=8",
    "grpo.max_steps=4",
    "grpo.zero_std_step_limit=3",
    "curriculum.probe_share=0.5",
    "curriculum.cooldown_steps=1",
    "checkpoint.every_steps=2",
    "checkpoint.validate_every=3",
    "checkpoint.validate_tasks=1",
    "checkpoint.use='best'",
    "evaluate.tasks_per_domain=1",
    "data.domains=['math', 'coding', 'creative_writing']",
)
RECIPE = parse_recipe_text(TEXT, OVERRIDES)
STAGES = ("base", "base_plain", "base_example", "cold_start", "trained")


class Crash(Exception):
    """The machine went away."""


def train(
    out: Path,
    *,
    resume: bool = False,
    recipe: Recipe = RECIPE,
    allowed_changes: Sequence[str] = (),
    output: io.StringIO | None = None,
    profile: bool = False,
    ends_at: float | None = None,
) -> str:
    """Run the recipe; returns the text of the display, which is also written to `output`."""
    output = output or io.StringIO()
    with pytest.MonkeyPatch.context() as patch, Display(output) as display:
        patch.setattr(opening, "open_scorer", open_rewards_by_hash)
        options = opening.TrainOptions(
            recipe=recipe,
            recipe_text=TEXT,
            out=out,
            resume=resume,
            allowed_changes=allowed_changes,
            profile=profile,
            ends_at=ends_at,
        )
        pipeline.train(options, display)
    return output.getvalue()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run from beginning to end, profiled. Tests that change it work on a copy."""
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    train(out, profile=True)
    return out


@pytest.fixture(scope="module")
def broken(unbroken: Path) -> Path:
    """The same run, which crashed in the cold start and again in GRPO, and was resumed each time."""
    out = unbroken.parent / "broken"
    real_cold_start, real_step = stage_module.cold_start, GrpoTrainer.step

    def cold_start(*arguments: Any) -> Iterator[Any]:
        yield from islice(real_cold_start(*arguments), 2)
        raise Crash

    def step(self: GrpoTrainer, state: TrainState, tasks: Sequence[Task], *rest: Any) -> Any:
        if state.step == 3:
            raise Crash
        return real_step(self, state, tasks, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage_module, "cold_start", cold_start)
        with pytest.raises(Crash):
            train(out)
    assert [(row["stage"], row["step"]) for row in RunDir(out).rows()] == [("cold_start", 1), ("cold_start", 2)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GrpoTrainer, "step", step)
        with pytest.raises(Crash):
            train(out, resume=True)
    assert [(row["stage"], row["step"]) for row in RunDir(out).rows()][:3] == [("cold_start", n) for n in (1, 2, 3)]
    assert RunDir(out).rows()[-1]["step"] == 3
    assert [saved.step for saved in list_saved(out / "checkpoints") if saved.stage == "grpo"] == [2, 3]
    # What a power cut leaves: a line cut off, a checkpoint that was never finished, a temporary file.
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "grpo", "step": 4, "lo')
    (out / "checkpoints" / "grpo-000004").mkdir()
    (out / "checkpoints" / ".grpo-000004.elsewhere.4711").mkdir()
    (out / "rollouts" / ".step-000004.parquet.4711").write_bytes(b"PAR1")
    (out / "eval" / ".trained.parquet.4711.partial").write_bytes(b"PAR1")
    shutil.copy(out / "rollouts" / "step-000003.parquet", out / "rollouts" / "step-000009.parquet")
    (out / "checkpoints" / "grpo-000003" / "progress.json").write_text("{}")

    def stopped(self: GrpoTrainer, state: TrainState, tasks: Sequence[Task], *rest: Any) -> Any:
        if state.step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.5)
        return real_step(self, state, tasks, *rest)

    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GrpoTrainer, "step", stopped)
        with pytest.raises(StopRequested, match="SIGTERM"):
            train(out, resume=True, output=output)
    check_skipped(out, output.getvalue())
    assert "SIGTERM: stopping" in output.getvalue()
    assert RunDir(out).rows()[-1]["step"] == 3
    assert list(out.glob(".lock*")) == []
    assert f"resumed from {out / 'checkpoints' / 'grpo-000003'}" in train(out, resume=True)
    return out


def check_skipped(out: Path, output: str) -> None:
    lines = output.splitlines()
    assert f"resumed from {out / 'checkpoints' / 'grpo-000002'}" in lines
    assert any(line.startswith("repeating 1 steps of grpo") for line in lines)
    assert any("skipped grpo-000004" in line and "removed" in line for line in lines)
    assert any("skipped grpo-000003" in line and "renamed to grpo-000003.damaged" in line for line in lines)
    shutil.rmtree(out / "checkpoints" / "grpo-000003.damaged")


SAVED = [("cold_start", 2), ("cold_start", 3), ("grpo", 3), ("grpo", 4)]


def saved_steps(path: Path) -> list[tuple[str, int]]:
    return [(saved.stage, saved.step) for saved in list_saved(path / "checkpoints")]


def rows_without_times(path: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in RunDir(path).rows()]


class TestUnbroken:
    def test_everything_is_there(self, unbroken: Path) -> None:
        found = {str(path.relative_to(unbroken)) for path in unbroken.rglob("*") if path.is_file()}
        assert {
            *("recipe.toml", "resolved.json", "contract.json", "metrics.jsonl", "environment.json", "pool/pool.json"),
            *("report.html", "writeup.md", "eval/summary.json", *(f"eval/{stage}.parquet" for stage in STAGES)),
            *(f"rollouts/step-{step:06d}.parquet" for step in (1, 2, 3, 4)),
        } <= found
        assert any(name.startswith("tensorboard/events.out.tfevents.") for name in found)
        assert any(name.startswith("profile/") and name.endswith("/perfetto_trace.json.gz") for name in found)
        assert any(name.startswith("figures/") and name.endswith(".png") for name in found)
        assert saved_steps(unbroken) == SAVED

    def test_nothing_temporary_is_left(self, unbroken: Path) -> None:
        assert [path for path in unbroken.rglob(".*") if path.is_file()] == []
        assert list(unbroken.rglob("*tmp*")) == []

    def test_recipe_as_written_and_as_resolved(self, unbroken: Path) -> None:
        assert (unbroken / "recipe.toml").read_text(encoding="utf-8") == TEXT
        assert json.loads((unbroken / "resolved.json").read_text()) == RECIPE.resolved()

    def test_metrics_of_the_cold_start(self, unbroken: Path) -> None:
        rows = [row for row in RunDir(unbroken).rows() if row["stage"] == "cold_start"]
        assert [row["step"] for row in rows] == [1, 2, 3]
        for row in rows:
            assert {"loss", "learning_rate", "grad_norm", "tokens", "seconds", "format_rate"} <= row.keys()
            assert {"update", "total"} <= row["seconds"].keys()
        assert rows[0]["format_rate"] is None
        assert 0 <= rows[1]["format_rate"] <= 1

    def test_metrics_of_grpo(self, unbroken: Path) -> None:
        rows = [row for row in RunDir(unbroken).rows() if row["stage"] == "grpo"]
        assert [row["step"] for row in rows] == [1, 2, 3, 4]
        numbers = {
            *("loss", "kl", "ratio_mean", "ratio_max", "clip_fraction", "entropy", "grad_norm", "learning_rate"),
            *("reward", "reward_std", "format_rate", "accuracy", "truncated_rate", "zero_std_fraction"),
        }
        for row in rows:
            assert numbers <= row.keys()
            assert row["seconds"].keys() - {"validate"} == {"rollout", "score", "update", "total", "idle_share"}
            assert ("validation" in row) == (row["step"] in (3, 4))
            assert row["tokens"].keys() == {"prompt", "completion"}
            assert row["ratio_mean"] == pytest.approx(1.0, abs=1e-3)
            assert row["ratio_max"] == pytest.approx(1.0, abs=1e-3)
            assert row["grad_norm"] > 0
            assert row["skipped_updates"] == 0
            for name, domain in row["domains"].items():
                keys = {"n", "reward", "format_rate", "accuracy", "truncated", "zero_std_fraction"}
                assert keys <= domain.keys()
                assert (domain["accuracy"] is None) == (name == "creative_writing")
        assert sum(domain["n"] for row in rows for domain in row["domains"].values()) == 4 * 2 * 4

    def test_rollouts_hold_what_was_sampled(self, unbroken: Path) -> None:
        rows = RunDir(unbroken).rows()
        for step in (1, 2, 3, 4):
            table = pq.read_table(unbroken / "rollouts" / f"step-{step:06d}.parquet").to_pylist()
            row = next(row for row in rows if row["stage"] == "grpo" and row["step"] == step)
            assert len(table) == 8
            assert sum(len(entry["token_ids"]) for entry in table) == row["tokens"]["completion"]
            assert sum(entry["reward"] for entry in table) / 8 == pytest.approx(row["reward"])
            assert all(len(entry["token_ids"]) == len(entry["logprobs"]) for entry in table)

    def test_environment(self, unbroken: Path) -> None:
        found = json.loads((unbroken / "environment.json").read_text())
        phases = {"prepare", "cold_start", "probe", "grpo", *(f"evaluate_{stage}" for stage in STAGES)}
        assert phases == found["seconds"].keys()
        assert found["sandbox_level"] != "not needed"
        assert found["peak_memory_gb"] > 0

    def test_nothing_is_left_beside_it(self, unbroken: Path) -> None:
        assert [path.name for path in unbroken.parent.iterdir() if path.name.startswith(".")] == []


class TestBroken:
    def test_metrics_are_those_of_the_unbroken_run(self, unbroken: Path, broken: Path) -> None:
        assert rows_without_times(broken) == rows_without_times(unbroken)

    def test_rollouts_and_evaluations_too(self, unbroken: Path, broken: Path) -> None:
        files = sorted(path.relative_to(unbroken) for path in unbroken.rglob("*.parquet"))
        assert len(files) == 10
        for file in files:
            assert pq.read_table(broken / file).equals(pq.read_table(unbroken / file)), file
        summary = Path("eval/summary.json")
        assert (broken / summary).read_bytes() == (unbroken / summary).read_bytes()

    def test_leftovers_are_gone(self, broken: Path) -> None:
        assert saved_steps(broken) == SAVED
        assert list(broken.rglob("*tmp*")) == []

    def test_a_finished_run_resumes_to_itself(self, broken: Path) -> None:
        before = rows_without_times(broken)
        output = train(broken, resume=True)
        assert "GRPO" not in output
        assert "tasks answered" not in output, "its evaluations are those of its models"
        assert rows_without_times(broken) == before

    def test_a_changed_recipe_is_refused_by_key(self, broken: Path) -> None:
        changed = parse_recipe_text(TEXT, [*OVERRIDES, "grpo.beta=0.5", "seed=3"])
        with pytest.raises(UserError, match=r"\(grpo\.beta: .* -> 0\.5, seed: 0 -> 3\)"):
            train(broken, resume=True, recipe=changed)
        with pytest.raises(UserError, match=r"\(seed: 0 -> 3\)"):
            train(broken, resume=True, recipe=changed, allowed_changes=["grpo.beta"])
        with pytest.raises(UserError, match=r"did you mean 'grpo\.beta'\?"):
            train(broken, resume=True, recipe=changed, allowed_changes=["grpo.betta", "seed"])

    def test_a_change_that_is_allowed_goes_on_from_there(self, broken: Path, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(broken, tmp_path / "copy"))
        longer = parse_recipe_text(TEXT, [*OVERRIDES, "grpo.max_steps=5", "rewards.control='random'"])
        output = train(copy, resume=True, recipe=longer, allowed_changes=["grpo.max_steps", "rewards.control"])
        assert "grpo.max_steps: 4 -> 5\n" in output
        rows = rows_without_times(copy)
        assert rows[:-1] == rows_without_times(broken)
        assert (rows[-1]["step"], json.loads((copy / "resolved.json").read_text())["grpo"]["max_steps"]) == (5, 5)
        plans = [read_plan(path / "eval" / "trained.parquet") for path in (broken, copy)]
        assert plans[0]["adapter"] != plans[1]["adapter"], "another model than the one that was evaluated before"
        assert [plan | {"adapter": ""} for plan in plans] == [plans[0] | {"adapter": ""}] * 2
        assert "trained: tasks answered" in output
        assert "base: tasks answered" not in output
        train(copy, resume=True, recipe=longer)  # and needs no leave any more

    def test_evaluations_of_other_tasks_are_done_again_or_removed(self, broken: Path, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(broken, tmp_path / "copy"))
        more = parse_recipe_text(
            TEXT, [*OVERRIDES, "evaluate.tasks_per_domain=2", "evaluate.stages=['base', 'cold_start']"]
        )
        allowed = ["evaluate.tasks_per_domain", "evaluate.stages"]
        train(copy, resume=True, recipe=more, allowed_changes=allowed)
        found = {path.stem: len(read_rows(path)) for path in (copy / "eval").glob("*.parquet")}
        assert found == {"base": 6, "base_plain": 4, "base_example": 4, "cold_start": 6}

    def test_without_resume_it_is_left_alone(self, broken: Path) -> None:
        with pytest.raises(UserError, match="exists already"):
            train(broken)


class TestNotFinite:
    """Three steps in a row whose gradient is not finite."""

    @pytest.fixture
    def diverging(self, unbroken: Path, tmp_path: Path) -> Callable[..., tuple[Path, str]]:
        """Go on with a copy of the unbroken run, whose first attempt at steps 5 to 7 fails."""
        real = GrpoTrainer.step

        def step(self: GrpoTrainer, state: TrainState, tasks: Sequence[Task], *rest: Any) -> Any:
            result = real(self, state, tasks, *rest)
            if state.step >= 4 and state.attempt == 0:
                result.metrics.update(skipped_updates=1, grad_norm=None)
            return result

        def go_on(*overrides: str) -> tuple[Path, str]:
            copy = Path(shutil.copytree(unbroken, tmp_path / "copy"))
            longer = parse_recipe_text(TEXT, [*OVERRIDES, "grpo.max_steps=8", *overrides])
            allowed = ["grpo.max_steps", "grpo.not_finite"]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(GrpoTrainer, "step", step)
                return copy, train(copy, resume=True, recipe=longer, allowed_changes=allowed)

        return go_on

    def test_back_to_the_last_good_checkpoint_at_half_the_rate(
        self, diverging: Callable[..., tuple[Path, str]], unbroken: Path
    ) -> None:
        copy, output = diverging()
        rows = [row for row in rows_without_times(copy) if row["stage"] == "grpo"]
        before = [row for row in rows_without_times(unbroken) if row["stage"] == "grpo"]
        assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8]
        assert rows[:4] == before  # no checkpoint before the last good step was kept, but that of the step itself
        assert all(row["skipped_updates"] == 0 for row in rows)
        assert "back from step 7 to step 4, at 0.5 of the learning rate" in output
        progress = read_progress(list_saved(copy / "checkpoints")[-1])
        assert (progress["rate_scale"], progress["attempt"]) == (0.5, 1)  # the attempt is part of the seeds
        events = [json.loads(line) for line in (copy / "health.jsonl").read_text().splitlines()]
        assert ("restart", "raised", 4) in [(event["check"], event["state"], event["step"]) for event in events]

    def test_a_stop_where_the_recipe_says_so(self, diverging: Callable[..., tuple[Path, str]]) -> None:
        with pytest.raises(UserError, match=r"3 steps in a row, up to step 7.*lower grpo\.learning_rate"):
            diverging("grpo.not_finite=stop")


class TestDeadline:
    LONGER = parse_recipe_text(TEXT, [*OVERRIDES, "grpo.max_steps=8"])

    def test_a_step_that_takes_too_long_is_dropped_and_the_ones_before_are_saved(
        self, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copy, now = Path(shutil.copytree(unbroken, tmp_path / "copy")), 0.0
        (copy / "report.html").unlink()
        real = GrpoTrainer.step

        def step(self: GrpoTrainer, state: TrainState, tasks: Sequence[Task], *rest: Any) -> Any:
            nonlocal now
            now += 100.0 if state.step == 4 else 1e5  # the sixth one outlasts the deadline as it samples
            return real(self, state, tasks, *rest)

        for module in (opening, grpo_module, agreement):
            monkeypatch.setattr(module, "session_clock", lambda: now)
        monkeypatch.setattr(GrpoTrainer, "step", step)
        output = train(copy, resume=True, recipe=self.LONGER, allowed_changes=["grpo.max_steps"], ends_at=3600.0)
        assert "deadline: step 6 takes too long and is dropped\ndeadline: 5 steps (no further step fits)" in output
        assert [row["step"] for row in RunDir(copy).rows() if row["stage"] == "grpo"] == [1, 2, 3, 4, 5]
        assert ("grpo", 5) in saved_steps(copy)
        assert "`thinkaloud report" in output
        assert not (copy / "report.html").exists()

    def test_no_time_for_any_step_leaves_an_adapter_too(
        self, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copy = Path(shutil.copytree(unbroken, tmp_path / "copy"))
        for saved in list_saved(copy / "checkpoints"):
            if saved.stage == "grpo":
                shutil.rmtree(saved.path)
        monkeypatch.setattr(opening, "session_clock", lambda: 0.0)
        assert "deadline: 0 steps (no further step fits)" in train(copy, resume=True, ends_at=0.0)
        assert saved_steps(copy) == [("cold_start", 2), ("cold_start", 3), ("grpo", 0)]
        train(copy, resume=True, ends_at=1e6)
        assert saved_steps(copy)[-1] == ("grpo", 4)
        assert rows_without_times(copy) == rows_without_times(unbroken)


class TestFullDisk:
    LONGER = parse_recipe_text(TEXT, [*OVERRIDES, "grpo.max_steps=5"])

    @pytest.fixture
    def full(
        self, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[[int], tuple[Path, str]]:
        """Go on with a copy of the unbroken run on a disk that takes no checkpoint for so many times."""

        def go_on(times: int) -> tuple[Path, str]:
            copy, refused = Path(shutil.copytree(unbroken, tmp_path / "copy")), 0
            real = arrays.write_bytes

            def write(path: Path, content: bytes, *, fsync: bool) -> None:
                nonlocal refused
                refused += 1
                if refused <= times:
                    raise OSError(28, "No space left on device")
                real(path, content, fsync=fsync)

            monkeypatch.setattr(arrays, "write_bytes", write)
            monkeypatch.setattr(grpo_module, "DISK_RETRY_SECONDS", 0)
            return copy, train(copy, resume=True, recipe=self.LONGER, allowed_changes=["grpo.max_steps"])

        return go_on

    def test_the_last_save_waits_for_room(self, full: Callable[[int], tuple[Path, str]]) -> None:
        copy, output = full(3)
        assert output.count("grpo-000005") == 1
        assert output.count("retrying the last checkpoint") == 1
        assert output.count("\ncheckpoints can be written again\n") == 1
        assert saved_steps(copy)[-1] == ("grpo", 5)
        assert "Traceback" not in output
        assert (copy / "report.html").exists()

    def test_and_ends_in_one_line_where_none_comes(
        self, full: Callable[[int], tuple[Path, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_room(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device", "plan.json")

        monkeypatch.setattr(grpo_module, "DISK_PATIENCE_SECONDS", 0.0)
        monkeypatch.setattr(evaluation_module, "evaluate_into", no_room)
        with pytest.raises(UserError, match=r"not saved.*--resume"):
            full(1000)


RATES = {"n", "format_rate", "format_interval", "accuracy", "mean_reward", "truncated_rate"}


class TestCommands:
    @pytest.fixture
    def copy(self, unbroken: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(unbroken, tmp_path / "copy"))

    def test_eval_json(self, run: Run, copy: Path) -> None:
        ended = run("eval", str(copy), "--json")
        assert ended.code == 0
        printed = json.loads(ended.out)
        assert printed["split"] == "test"
        assert tuple(printed["stages"]) == STAGES
        for name, stage in printed["stages"].items():
            asked = [d for d in RECIPE.data.domains if d != "creative_writing" or name not in READING_STAGES.values()]
            assert list(stage["domains"]) == asked
            for rates in (stage["overall"], *stage["domains"].values()):
                assert rates.keys() >= RATES
                low, high = rates["format_interval"]
                assert 0 <= low <= rates["format_rate"] <= high <= 1
            assert stage["overall"]["n"] == len(asked)
            assert stage["overall"]["answer_accuracy"] >= stage["overall"]["accuracy"]
            if "creative_writing" in asked:
                assert stage["domains"]["creative_writing"]["accuracy"] is None
        assert json.loads((copy / "eval" / "summary.json").read_text()) == printed
        assert printed["stages"]["base"]["overall"]["mean_reward"] == 0.0  # real rewards, not hashes

    def test_eval_of_a_reading_asks_the_base_alone(self, run: Run, copy: Path) -> None:
        trained = (copy / "eval" / "trained.parquet").read_bytes()
        (copy / "eval" / "base_plain.parquet").unlink()
        ended = run("eval", str(copy), "--reading", "plain", "--json")
        assert ended.code == 0
        printed = json.loads(ended.out)
        assert tuple(printed["stages"]) == STAGES
        assert printed["headline"]["bases"].keys() == {"base", "base_plain", "base_example"}
        assert (copy / "eval" / "trained.parquet").read_bytes() == trained
        refused = run("eval", str(copy), "--reading", "plan")
        assert refused.code == 2
        assert "plain" in refused.err

    def test_eval_of_another_split_leaves_the_run_s_own_alone(self, run: Run, copy: Path) -> None:
        before = (copy / "eval" / "summary.json").read_bytes()
        ended = run("eval", str(copy), "--split", "validation", "--stage", "trained", "--json")
        assert ended.code == 0
        printed = json.loads(ended.out)
        assert (printed["split"], list(printed["stages"])) == ("validation", ["trained"])
        assert (copy / "eval" / "summary.json").read_bytes() == before
        assert json.loads((copy / "eval" / "validation-1" / "summary.json").read_text()) == printed

    def test_eval_of_a_task_file_with_samples(self, run: Run, copy: Path, tmp_path: Path) -> None:
        before = (copy / "eval" / "summary.json").read_bytes()
        task = {"domain": "math", "question": "2 + 2?", "answer": "4"}
        (tmp_path / "tasks.jsonl").write_text(json.dumps(task) + "\n")
        asked = ("eval", str(copy), "--tasks", str(tmp_path / "tasks.jsonl"), "--samples", "2", "--json")
        assert "add --temperature" in run(*asked).mistake
        checkpoint = ("--checkpoint", str(copy / "checkpoints" / "grpo-000003"), "--temperature", "1")
        printed = json.loads(run(*asked, *checkpoint).out)
        (name,) = printed["stages"]
        overall = printed["stages"][name]["overall"]
        assert (name, overall["n"], overall["samples"]) == ("grpo-000003", 2, 2)
        assert overall["pass_at"]["2"]["rate"] == overall["majority"]["rate"] == 0.0
        (folder,) = (copy / "eval").glob("tasks-*-x2-t1-s0")
        assert json.loads((folder / "summary.json").read_text()) == printed
        assert not (folder / ".unfinished").exists()
        assert (copy / "eval" / "summary.json").read_bytes() == before

    def test_eval_refuses_what_is_not_there(self, run: Run, copy: Path, tmp_path: Path) -> None:
        assert (
            "found cold_start-000002"
            in run("eval", str(copy), "--checkpoint", str(copy / "checkpoints" / "grpo-000002")).mistake
        )
        assert "expected a model directory" in run("eval", str(copy), "--model", str(tmp_path / "absent")).mistake
        assert "config.json" in run("eval", str(copy), "--model", str(tmp_path)).mistake
        assert "give only one of them" in run("eval", str(copy), "--stage", "base", "--model", str(tmp_path)).mistake
        assert "give only one of them" in run("eval", str(copy), "--on", "gsm8k", "--split", "test").mistake
        assert "add --on" in run("eval", str(copy), "--data-dir", str(tmp_path)).mistake
        assert "no prompt fits" in run("eval", str(copy), "--max-new-tokens", "4096").mistake
        assert "did you mean 'crlf'" in run("eval", str(copy), "--contracts", "--variant", "clrf").mistake
        assert "remove --judge" in run("eval", str(copy), "--contracts", "--judge").mistake

    def test_the_contract_experiment(self, run: Run, copy: Path) -> None:
        ended = run("eval", str(copy), "--contracts", "--variant", "doubled_space", "--variant", "no_frame", "--json")
        assert ended.code == 0, ended.err
        printed = json.loads(ended.out)
        assert (printed["stage"], printed["n"]) == ("trained", 3)
        matched, doubled, bare = printed["variants"]
        assert [entry["name"] for entry in (matched, doubled, bare)] == ["matched", "doubled_space", "no_frame"]
        assert matched["first_difference"] is None
        assert doubled["first_difference"]["found"][0]["piece"] == "·"
        assert doubled["against_matched"]["n"] == matched["n"] == 3
        assert json.loads((copy / "eval" / "contracts" / "summary.json").read_text()) == printed
        texts = [entry["text"] for entry in pq.read_table(copy / "eval" / "contracts" / "matched.parquet").to_pylist()]
        assert texts == [entry["text"] for entry in pq.read_table(copy / "eval" / "trained.parquet").to_pylist()]

    def test_generate(self, run: Run, copy: Path) -> None:
        first = run("generate", str(copy), "What is 2 + 2?", "--json")
        assert first.code == 0
        reply = json.loads(first.out)
        assert reply.keys() == {"text", "reasoning", "answer", "reason", "finish", "num_tokens"}
        assert 1 <= reply["num_tokens"] <= 8
        assert run("generate", str(copy), "--json", stdin=b"What is 2 + 2?").out == first.out
        many = ("--samples", "12", "--temperature", "1", "--max-new-tokens", "2", "--stage", "base")
        sampled = run("generate", str(copy), "Hm?", *many, "--json").out
        assert len({json.loads(line)["text"] for line in sampled.splitlines()}) > 1
        assert run("generate", str(copy), "Hm?", *many, "--json").out == sampled
        assert run("generate", str(copy), "Hm?", *many, "--json", "--seed", "1").out != sampled

    def test_generate_refuses_what_the_model_cannot_hold(self, run: Run, copy: Path) -> None:
        assert "4096" in run("generate", str(copy), "x" * 5000).mistake
        assert "expected a temperature" in run("generate", str(copy), "x", "--temperature", "inf").mistake

    def test_chat(self, run: Run, copy: Path) -> None:
        too_long = b"x" * 5000
        ended = run("chat", str(copy), stdin=b"What is 2 + 2?\n" + too_long + b"\nAnd 3 + 3?\n\nnever asked\n")
        assert ended.code == 0
        assert ended.out.count("[format: ") == 2
        assert ended.err.count("question> ") == 4
        assert ended.err.count("error: the prompt has") == 1
        left = run("chat", str(copy), stdin=b"Exit\nnever asked\n")
        assert (left.code, left.out, left.err.count("question> ")) == (0, "", 1)
        assert "Ctrl-D ends" in left.err

    def test_report(self, run: Run, copy: Path) -> None:
        before = (copy / "report.html").read_text(encoding="utf-8")
        (copy / "report.html").unlink()
        ended = run("report", str(copy))
        assert (ended.code, ended.out, ended.err) == (0, f"{copy / 'report.html'}\n", "")
        assert (copy / "report.html").read_text(encoding="utf-8") == before

    def test_prompt_of_a_run(self, run: Run, copy: Path) -> None:
        view = json.loads(run("prompt", str(copy), "--json").out)
        assert view["fingerprint"] == json.loads((copy / "contract.json").read_text())["fingerprint"]

    @pytest.mark.parametrize("command", ["generate", "eval", "chat"])
    def test_another_prompt_than_that_of_training_is_refused(self, run: Run, copy: Path, command: str) -> None:
        text = (copy / "contract.json").read_text(encoding="utf-8")
        (copy / "contract.json").write_text(text.replace("Provide your reasoning", "Provide  your reasoning"))
        ended = run(command, str(copy), *(["Hm?"] if command == "generate" else []))
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.splitlines()[-1].startswith("error: ")
        assert "Traceback" not in ended.err

    def test_a_stage_that_the_run_has_not_reached(self, run: Run, copy: Path) -> None:
        for saved in list_saved(copy / "checkpoints"):
            if saved.stage == "grpo":
                shutil.rmtree(saved.path)
        assert "found base, cold_start" in run("generate", str(copy), "Hm?").mistake

    @pytest.mark.parametrize("name", ["adapter.safetensors", "files.json"])
    def test_a_damaged_checkpoint(self, run: Run, copy: Path, name: str) -> None:
        file = copy / "checkpoints" / "grpo-000004" / name  # the best by validation
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        assert "cannot read the checkpoint" in run("generate", str(copy), "Hm?").mistake
