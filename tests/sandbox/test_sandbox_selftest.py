"""The level and the report: what is said about this machine is what its probes did."""

from __future__ import annotations

import json

import pytest

from thinkaloud.sandbox import Level, Sandbox, bubblewrap, check, selftest
from thinkaloud.sandbox.check import check_report, explain_missing
from thinkaloud.sandbox.inside import LAYERS
from thinkaloud.sandbox.probes import PROBES, scene
from thinkaloud.sandbox.selftest import ALL_LAYERS, Containment, run_probes
from thinkaloud.sandbox.worker import Worker, WorkerFailed


@pytest.fixture(scope="module")
def report(sandbox: Sandbox) -> dict:
    return check_report()


def test_report_has_exactly_its_form(report: dict, sandbox: Sandbox) -> None:
    assert set(report) == {"level", "layers"}
    assert report["level"] == str(sandbox.level)
    assert set(report["layers"]) == {"seccomp", "rlimits", "landlock", "uid_drop", "process", "bubblewrap"}
    for layer in report["layers"].values():
        assert set(layer) == {"available", "blocked", "failed"}
        assert layer["available"] or not layer["blocked"] + layer["failed"]
    assert json.loads(json.dumps(report)) == report


def test_every_available_layer_blocks_by_itself_what_it_should(report: dict) -> None:
    for name, layer in report["layers"].items():
        if layer["available"] and name != "landlock":  # an old Landlock knows neither TCP nor signals
            assert layer["failed"] == [], name
    expected = {probe.name for probe in PROBES if "seccomp" in probe.alone.split()}
    assert set(report["layers"]["seccomp"]["blocked"]) == expected
    assert len(expected) > 20


def test_missing_layers_are_explained(report: dict) -> None:
    explained = explain_missing()
    assert set(explained) == {name for name, layer in report["layers"].items() if not layer["available"]}
    assert all(explained.values())


HARMLESS_WITHOUT_A_JAIL = {
    "read_file", "read_private_file", "list_directory", "stat_file", "write_file", "grow_file", "tcp_connect",
    "unix_connect", "abstract_connect", "signal_trainer", "signal_parent", "signal_group", "fork", "thread",
    "shared_memory", "memory_file", "executable_memory", "trace", "set_limit", "own_memory", "gain_privileges",
    "be_dumped",
}  # fmt: skip


@pytest.mark.usefixtures("sandbox")
def test_probes_get_through_where_nothing_holds_them() -> None:
    """The probes are worth something: without a jail each does its deed, so that "blocked" is the jail's doing."""
    worker = Worker(())
    try:
        with scene() as where:
            said = run_probes(worker, [probe for probe in PROBES if probe.name in HARMLESS_WITHOUT_A_JAIL], where)
            assert (where.scratch / "written").exists()
    finally:
        worker.close()
    assert {name for name, text in said.items() if "was done" in text} == HARMLESS_WITHOUT_A_JAIL


def _containment(monkeypatch: pytest.MonkeyPatch, layers: tuple[str, ...]) -> Containment:
    monkeypatch.setattr(selftest, "LAYERS", layers)
    monkeypatch.setattr(selftest, "_working_wrap", lambda: ((), "left out"))
    return selftest._measure()


@pytest.mark.usefixtures("sandbox")
def test_without_landlock_and_bubblewrap_the_level_is_standard(monkeypatch: pytest.MonkeyPatch) -> None:
    left = tuple(layer for layer in LAYERS if layer != "landlock")
    assert _containment(monkeypatch, left).level is Level.STANDARD


@pytest.mark.usefixtures("sandbox")
def test_without_seccomp_the_level_is_none_and_the_holes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    left = tuple(layer for layer in LAYERS if layer != "seccomp")
    containment = _containment(monkeypatch, left)
    assert containment.level is Level.NONE
    assert "stat_file was done" in containment.open["stat_file"]


@pytest.mark.usefixtures("sandbox")
def test_without_limits_the_level_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "PROBES", tuple(probe for probe in PROBES if probe.name != "processor_time"))
    left = tuple(layer for layer in LAYERS if layer != "rlimits")
    assert "memory_at_once" in _containment(monkeypatch, left).open


def test_a_machine_where_no_worker_starts_reports_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Containment:
        raise WorkerFailed("no interpreter")

    monkeypatch.setattr(check, "measure", fail)
    report = check_report()
    assert report["level"] == "none"
    assert report["layers"] == {name: {"available": False, "blocked": [], "failed": []} for name in ALL_LAYERS}
    assert explain_missing() == dict.fromkeys(ALL_LAYERS, "no interpreter")


@pytest.mark.usefixtures("sandbox")
def test_a_layer_that_the_kernel_refuses_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "measure", lambda: Containment(Level.STANDARD, (), {"landlock": "no"}, {}))
    assert check_report()["layers"]["landlock"] == {"available": False, "blocked": [], "failed": []}


@pytest.mark.skipif(not bubblewrap.command(), reason="bwrap is not installed")
def test_bubblewrap_where_it_works(report: dict) -> None:
    if "bubblewrap" in explain_missing():
        pytest.skip(explain_missing()["bubblewrap"])
    assert {"read_file", "stat_file", "tcp_connect", "signal_trainer"} <= set(report["layers"]["bubblewrap"]["blocked"])
