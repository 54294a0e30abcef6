"""No hack is paid, no escape succeeds: as this user and as an unprivileged one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hostile_programs import CHECK, ESCAPES, EXPECTED, HACKS, SANE, hack_jobs

from thinkaloud.sandbox import Outcome, Sandbox


@pytest.mark.parametrize("name", HACKS)
def test_hack_is_not_paid(hostile_run, name: str) -> None:
    outcome, detail = hostile_run.verdicts[name]
    assert outcome not in (Outcome.PASS, Outcome.INFRA_ERROR), detail
    assert outcome == EXPECTED.get(name, outcome), detail


@pytest.mark.parametrize("name", ESCAPES)
def test_escape_is_blocked(hostile_run, name: str) -> None:
    outcome, detail = hostile_run.verdicts[name]
    assert outcome == Outcome.WRONG, detail  # the program ran, tried, and reported that it was blocked
    assert "blocked" in detail


def test_sane_program_passes_afterwards(hostile_run) -> None:
    assert hostile_run.verdicts["sane"] == (Outcome.PASS, "") or hostile_run.verdicts["sane"] == [Outcome.PASS, ""]


def test_nothing_is_left_on_disk(hostile_run, scratch: Path) -> None:
    assert hostile_run.verdicts
    assert sorted(path.name for path in scratch.iterdir()) == ["readable", "readable_module.py"]
    assert (scratch / "readable").read_text() == "secret"
    assert not (Path.home() / "thinkaloud-left").exists()


def test_level_without_privileges(hostile_run) -> None:
    assert hostile_run.level in ("strong", "standard")
    if hostile_run.uid != os.getuid():
        assert hostile_run.uid != 0
        assert hostile_run.report["layers"]["seccomp"]["failed"] == []
        assert hostile_run.report["layers"]["uid_drop"]["available"] is False


@pytest.fixture(scope="module")
def checked_run(sandbox: Sandbox) -> dict:
    jobs = hack_jobs(CHECK)
    return dict(zip(jobs, sandbox.run_batch(list(jobs.values())), strict=True))


@pytest.mark.parametrize("name", HACKS)
def test_hack_is_not_paid_by_the_checker(checked_run: dict, name: str) -> None:
    verdict = checked_run[name]
    assert verdict.outcome not in (Outcome.PASS, Outcome.INFRA_ERROR), verdict.detail
    assert verdict.passed == 0


def test_checker_passes_a_sane_program(sandbox: Sandbox) -> None:
    assert sandbox.run(SANE.code, CHECK).ok
