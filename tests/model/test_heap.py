"""Memory mappings: counted from files like the system's, and freed by dropping compiled programs."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from thinkaloud.model import heap


def system(folder: Path, *, allowed: str, mappings: int) -> Path:
    for name, text in (("sys/vm/max_map_count", allowed), ("self/maps", "7f00-7f01 r-xp\n" * mappings)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(("allowed", "mappings", "many"), [("100\n", 60, False), ("100\n", 61, True), ("?", 99, False)])
def test_mappings_are_counted(tmp_path: Path, allowed: str, mappings: int, many: bool) -> None:
    assert heap.too_many_mappings(system(tmp_path, allowed=allowed, mappings=mappings)) is many


def test_without_such_files_nothing_is_dropped(tmp_path: Path) -> None:
    assert not heap.too_many_mappings(tmp_path)


def test_compiled_programs_are_dropped_when_mappings_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    program = jax.jit(lambda x: jnp.sin(x) + 1)
    program(jnp.ones(3))
    heap.trim_heap()
    assert program._cache_size() == 1  # type: ignore[attr-defined]
    monkeypatch.setattr(heap, "too_many_mappings", lambda: True)
    heap.trim_heap()
    assert program._cache_size() == 0  # type: ignore[attr-defined]
