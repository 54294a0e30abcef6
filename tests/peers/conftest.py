"""Runs and their exports, for programs that are not ours. `make test-peers` installs those and runs these tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from support.tiny_runs import FAMILIES, make_base, make_run
from thinkaloud.export import export_run


@dataclass(frozen=True)
class Tiny:
    """A run of a tiny model, its stock base, and where its exports go."""

    run: Path
    base: Path

    def export(self, format: str, dtype: str) -> Path:
        folder = self.run / "export" / f"{format}-{dtype}"
        return folder if folder.exists() else export_run(self.run, format, dtype=dtype).path


@pytest.fixture(scope="session", params=FAMILIES)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Random weights, an adapter that changes every logit; once in each family."""
    folder = tmp_path_factory.mktemp(request.param)
    base = make_base(request.param, folder / "base")
    return Tiny(make_run(folder / "run", str(base)), base)
