"""What survives: exact arrays, the newest whole checkpoint, no half ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from thinkaloud.errors import UserError
from thinkaloud.train.checkpoint import list_saved, newest, restore, restore_adapter, save

OPTIMIZER = optax.adamw(1e-3)


def some_adapter(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return {"q": {name: jnp.asarray(rng.standard_normal((2, 3, 4)).astype(np.float32)) for name in ("a", "b")}}


def some_state(adapter: Any) -> Any:
    with jax.numpy_dtype_promotion("standard"):  # Optax raises floats to integer counts
        _, state = OPTIMIZER.update(jax.tree.map(lambda x: x * 0.3, adapter), OPTIMIZER.init(adapter), adapter)
    return state


def assert_same(first: Any, second: Any) -> None:
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_adapter_and_state_come_back_bit_for_bit(tmp_path: Path) -> None:
    adapter = some_adapter(0)
    state = some_state(adapter)
    saved = save(tmp_path, "grpo", 7, adapter, state, keep=2)
    like = some_adapter(1)
    found, found_state = restore(saved, like, OPTIMIZER.init(like))
    assert_same(found, adapter)
    assert_same(found_state, state)
    assert_same(restore_adapter(saved, like), adapter)


def test_the_newest_are_kept_and_the_cold_start_comes_before_grpo(tmp_path: Path) -> None:
    adapter = some_adapter(0)
    save(tmp_path, "cold_start", 40, adapter, None, keep=1)
    for step in (2, 4, 10):
        save(tmp_path, "grpo", step, adapter, some_state(adapter), keep=2)
    assert [(s.stage, s.step) for s in list_saved(tmp_path)] == [("cold_start", 40), ("grpo", 4), ("grpo", 10)]
    latest = newest(tmp_path)
    assert latest is not None
    assert (latest.stage, latest.step) == ("grpo", 10)
    cold = newest(tmp_path, "cold_start")
    assert cold is not None
    assert_same(restore_adapter(cold, adapter), adapter)


def test_a_directory_without_its_commit_mark_is_passed_over(tmp_path: Path) -> None:
    adapter = some_adapter(0)
    for step in (1, 2):
        save(tmp_path, "grpo", step, adapter, some_state(adapter), keep=3)
    (tmp_path / "grpo-000002" / "files.json").unlink()
    (tmp_path / "grpo-000003.orbax-checkpoint-tmp-1").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    latest = newest(tmp_path)
    assert latest is not None
    assert latest.step == 1


@pytest.mark.parametrize("damage", ["removed", "emptied", "bit flipped"])
def test_a_damaged_checkpoint_is_one_clear_line(tmp_path: Path, damage: str) -> None:
    """Every file in turn."""
    adapter = some_adapter(0)
    saved = save(tmp_path, "grpo", 1, adapter, some_state(adapter), keep=1)
    for file in [file for file in saved.path.rglob("*") if file.is_file() and file.stat().st_size]:
        content = file.read_bytes()
        if damage == "removed":
            file.unlink()
        else:
            file.write_bytes(b"" if damage == "emptied" else bytes([content[0] ^ 1]) + content[1:])
        with pytest.raises(UserError, match="cannot read the checkpoint"):
            restore_adapter(saved, adapter)
        file.write_bytes(content)
    assert_same(restore_adapter(saved, some_adapter(1)), adapter)


def test_nothing_saved_is_nothing_found(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    assert list_saved(tmp_path / "absent") == []
