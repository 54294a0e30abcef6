"""A whole run with a judge: rewards, metrics, evaluation, report; cut off and resumed; the key never on disk."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.fake_endpoint import CannedReply, Fake, serving
from thinkaloud import cli
from thinkaloud.config import Recipe, parse_recipe_text
from thinkaloud.errors import UserError
from thinkaloud.evaluate.rows import read_rows
from thinkaloud.pipeline import train as pipeline
from thinkaloud.pipeline.opening import TrainOptions
from thinkaloud.records import Completion, Finish, RolloutGroup
from thinkaloud.rollout.policy import Policy
from thinkaloud.tracking.display import Display
from thinkaloud.train.grpo_step import GrpoTrainer
from thinkaloud.train.trainer import TrainState

TEXT = """
name = "judged"
model = "tiny"

[data]
domains = ["creative_writing", "math"]

[rollout]
prompts_per_step = 2
group_size = 2
max_prompt_tokens = 600
max_new_tokens = 8
top_p = 1.0
top_k = 0
temperature = 1.0

[grpo]
max_steps = 2
inner_iterations = 1
learning_rate = 1e-3

[evaluate]
tasks_per_domain = 1
stages = ["trained"]

[checkpoint]
every_steps = 1

[judge]
model = "j"
reward_share = 0.5
api_key_env = "JUDGE_KEY_OF_TESTS"
max_retries = 0
"""
KEY = "sk-SECRET-71c2"


def reply(number: int, asked: dict[str, Any]) -> CannedReply:
    """Marks that depend only on the answer."""
    mark = 1 + len(asked["messages"][1]["content"]) % 10
    return CannedReply(json.dumps({"reasoning": mark, "answer": 5, "overall": 11 - mark}))


def well_formed(sample: Any) -> Any:
    """A random model's completions, rewritten so that they keep the format."""

    def rewritten(self: Policy, *arguments: Any, **settings: Any) -> list[RolloutGroup]:
        return [
            replace(group, completions=tuple(map(in_format, group.completions)))
            for group in sample(self, *arguments, **settings)
        ]

    return rewritten


def in_format(completion: Completion) -> Completion:
    ids = " ".join(f"number{i}" for i in completion.token_ids)
    text = f"<reasoning>One plan.</reasoning><answer>Ids {ids}</answer>"
    return replace(completion, text=text, finish=Finish.STOP)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    monkeypatch.setenv("JUDGE_KEY_OF_TESTS", KEY)
    monkeypatch.setattr(Policy, "sample", well_formed(Policy.sample))
    with serving(reply) as found:
        yield found


def recipe_at(fake: Fake, *overrides: str) -> Recipe:
    return parse_recipe_text(TEXT, (f"judge.base_url={fake.url}", *overrides))


def train(recipe: Recipe, out: Path, *, resume: bool = False) -> str:
    said = io.StringIO()
    with Display(said) as display:
        pipeline.train(TrainOptions(recipe=recipe, recipe_text=TEXT, out=out, resume=resume), display)
    return said.getvalue()


def steps(out: Path) -> list[dict[str, Any]]:
    return [row for line in (out / "metrics.jsonl").read_text().splitlines() if (row := json.loads(line))]


@pytest.mark.slow
def test_a_run_with_a_judge(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(recipe_at(fake), whole)
    paid_for = fake.calls

    # what the run contains
    rows = steps(whole)
    judged = [row["judge"]["judged"] + row["judge"]["cached"] for row in rows]
    assert sum(judged) > 0
    assert all(row["judge"]["failed"] == row["judge"]["silent"] == 0 for row in rows)
    trained = read_rows(whole / "eval" / "trained.parquet")
    creative = next(row for row in trained if row.domain == "creative_writing")
    assert creative.judge == "judged"
    assert creative.judge_answer == 5
    assert "judge" not in creative.components, "an evaluation's rewards are without the judge"
    assert all(row.judge == "" and row.judge_overall is None for row in trained if row.domain == "math")
    summary = json.loads((whole / "eval" / "summary.json").read_text())
    assert summary["judge"]["model"] == "j"
    marks = summary["stages"]["trained"]["domains"]["creative_writing"]["judge"]
    assert (marks["n"], marks["not_judged"], marks["answer"], marks["answer_interval"]) == (1, 0, 5.0, [5.0, 5.0])
    assert "Judge's marks of creative answers" in (whole / "report.html").read_text()
    assert "Judge: j." in (whole / "writeup.md").read_text()
    assert fake.authorizations == [f"Bearer {KEY}"] * paid_for
    for file in whole.rglob("*"):
        assert file.is_dir() or KEY.encode() not in file.read_bytes(), file

    # interrupted before a checkpoint and resumed: equal numbers, no request twice; one report suffices
    monkeypatch.setattr(pipeline, "build_report", lambda path: path)
    real, fake.asked[:] = GrpoTrainer.update, []

    def crash(self: GrpoTrainer, state: TrainState, groups: Any) -> Any:
        if state.step == 1:  # the second step, the last
            raise KeyboardInterrupt
        return real(self, state, groups)

    with monkeypatch.context() as patch:
        patch.setattr(GrpoTrainer, "update", crash)
        with pytest.raises(KeyboardInterrupt):
            train(recipe_at(fake), broken)
    train(recipe_at(fake), broken, resume=True)
    assert fake.calls == paid_for
    for ours, theirs in zip(steps(broken), rows, strict=True):
        for key in ("reward", "reward_std", "loss", "domains", "masked"):
            assert ours[key] == theirs[key]
    assert read_rows(broken / "eval" / "trained.parquet") == trained

    # `thinkaloud eval`: cached marks are shown without requests; another judge is used on demand
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["thinkaloud", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    capsys.readouterr()
    monkeypatch.delenv("JUDGE_KEY_OF_TESTS")
    code, out, _ = call("eval", str(whole), "--stage", "trained")
    assert (code, fake.calls) == (0, paid_for)
    assert "trained, judged by j: " in out
    assert read_rows(whole / "eval" / "trained.parquet") == trained
    code, _, err = call("eval", str(whole), "--judge")
    assert code == 2
    assert "JUDGE_KEY_OF_TESTS, found none" in err
    other = ("--set", "judge.model=k", "--set", 'judge.api_key_env=""')
    assert call("eval", str(whole), *other)[0] == 2, "--set goes with --judge"
    assert "judge.KEY=VALUE" in call("eval", str(whole), "--judge", "--set", "grpo.max_steps=1")[2]
    monkeypatch.setenv("ANOTHER_KEY", "k")
    another = ("--set", "judge.model=k", "--set", "judge.api_key_env=ANOTHER_KEY", "--json")
    fake.reply = lambda number, asked: (
        reply(number, asked) if "The sea turned" in str(asked) else CannedReply("7 of 10")
    )
    code, out, err = call("eval", str(whole), "--judge", "--stage", "trained", *another)
    assert (code, fake.calls - paid_for) == (0, 2), "its check, and the one creative answer"
    printed = json.loads(out)
    assert (printed["judge"]["model"], printed["stages"]["trained"]["overall"]["judge"]["not_judged"]) == ("k", 1)
    assert "the judge marks 1 answers\n1 of 1 got no marks; 1 of them: expected a JSON object" in err


@pytest.mark.slow
def test_a_judge_that_fails_during_a_run_stops_nothing(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "build_report", lambda path: path)
    fake.reply = lambda *_: CannedReply(status=401)
    with pytest.raises(UserError, match="401"):
        train(recipe_at(fake), tmp_path / "none")
    assert not (tmp_path / "none").exists()
    fake.asked.clear()
    fake.reply = lambda number, asked: reply(number, asked) if number < 3 else CannedReply(status=503)
    said = train(recipe_at(fake, "judge.pause_after=1", 'evaluate.stages=["base"]'), tmp_path / "run")
    counts = [row["judge"] for row in steps(tmp_path / "run")]
    assert sum(count["silent"] for count in counts) > 0
    assert "the judge pauses" in said
    events = [json.loads(line) for line in (tmp_path / "run" / "health.jsonl").read_text().splitlines()]
    assert ("judge", "raised") in [(event["check"], event["state"]) for event in events]
    summary = json.loads((tmp_path / "run" / "eval" / "summary.json").read_text())
    assert summary["stages"]["base"]["overall"]["judge"]["n"] == 1
