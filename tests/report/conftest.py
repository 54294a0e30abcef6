from __future__ import annotations

from pathlib import Path

import pytest

from support.synthetic_run import make_run
from thinkaloud.report import build_report


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up run with its report; tests read it and do not change it."""
    folder = make_run(tmp_path_factory.mktemp("report") / "made-up", steps=12, tasks=4)
    assert build_report(folder) == folder / "report.html"
    return folder
