"""What survives: exact arrays, the newest whole checkpoint, no half ones."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from thinkaloud.checkpoint.files import Saved, Stage, list_saved, newest, restore, restore_adapter, save, trained
from thinkaloud.checkpoint.files import damage as damaged
from thinkaloud.checkpoint.saver import Found, Saver, find
from thinkaloud.errors import UserError
from thinkaloud.storage.hashing import folder_sha256

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
    saved = save(tmp_path, "grpo", 7, adapter, state, {"attempt": 2})
    like = some_adapter(1)
    found = restore(saved, like, OPTIMIZER.init(like))
    assert_same(found.adapter, adapter)
    assert_same(found.state, state)
    assert found.progress == {"attempt": 2}
    assert_same(restore_adapter(saved, like), adapter)


def write(saver: Saver, stage: Stage, step: int, seed: int, best: int | None = None) -> Any:
    """A save through `saver`, waited for; returns the adapter."""
    adapter = some_adapter(seed)
    saver.save(stage, step, adapter, some_state(adapter), {"best": {"step": best} if best else None})
    saver.wait()
    assert saver.failures() == []
    return adapter


def look(directory: Path) -> Found:
    like = some_adapter(99)
    return find(directory, "grpo", like, OPTIMIZER.init(like))


def names(directory: Path) -> list[tuple[str, int]]:
    return [(saved.stage, saved.step) for saved in list_saved(directory)]


def test_the_newest_are_kept_and_the_cold_start_comes_before_grpo(tmp_path: Path) -> None:
    saver = Saver(tmp_path, keep=2)
    cold = write(saver, "cold_start", 40, 1)
    for step in (2, 4, 10):
        write(saver, "grpo", step, step)
    assert names(tmp_path) == [("cold_start", 40), ("grpo", 4), ("grpo", 10)]
    latest = newest(tmp_path)
    assert latest is not None
    assert (latest.stage, latest.step) == ("grpo", 10)
    first = newest(tmp_path, "cold_start")
    assert first is not None
    assert_same(restore_adapter(first, cold), cold)


def test_the_best_by_validation_stays_beside_the_newest(tmp_path: Path) -> None:
    saver = Saver(tmp_path, keep=2)
    for step, best in ((2, 2), (4, 4), (6, 4), (8, 4), (10, 10), (12, 10), (14, 10)):
        write(saver, "grpo", step, step, best)
        kept = [step for _, step in names(tmp_path)]
        assert best in kept
        assert len(kept) <= 3
    assert [step for _, step in names(tmp_path)] == [10, 12, 14]


def test_the_trained_model_is_the_newest_or_the_best(tmp_path: Path) -> None:
    assert trained(tmp_path, "best") is None
    saver = Saver(tmp_path, keep=2)
    for step, best in ((2, 2), (4, 4), (6, 4), (8, 4)):
        write(saver, "grpo", step, step, best)
    newest_one, best_one = trained(tmp_path, "newest"), trained(tmp_path, "best")
    assert newest_one is not None
    assert best_one is not None
    assert (newest_one.step, best_one.step) == (8, 4)
    shutil.rmtree(best_one.path)  # by hand: the newest has to do
    assert trained(tmp_path, "best") == newest_one


def test_a_save_takes_its_copy_at_once(tmp_path: Path) -> None:
    """What training does to the buffers while a save is being written does not reach it."""
    adapter = {"q": {name: np.ones((2, 3, 4), np.float32) for name in ("a", "b")}}
    held = threading.Event()
    saver = Saver(tmp_path, keep=1, before=lambda: held.wait(30) and None)
    saver.save("grpo", 1, adapter, some_state(some_adapter(0)), {})
    adapter["q"]["a"][:] = 7
    assert list_saved(tmp_path) == []  # it is not waited for
    held.set()
    saver.wait()
    found = look(tmp_path).restored
    assert found is not None
    assert float(found.adapter["q"]["a"][0, 0, 0]) == 1.0


def test_a_save_that_fails_is_reported_and_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saver = Saver(tmp_path, keep=1)
    write(saver, "grpo", 1, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refusing(28))
        for step in (2, 3):
            saver.save("grpo", step, some_adapter(2), some_state(some_adapter(2)), {})
            saver.wait()
            assert saver.unsaved
            (failure,) = saver.failures()
            assert "the disk is full" in failure
            assert saver.failures() == []
            assert [path.name for path in tmp_path.iterdir()] == ["grpo-000001"]
    write(saver, "grpo", 4, 4)
    assert not saver.unsaved
    assert names(tmp_path) == [("grpo", 4)]


def refusing(number: int) -> Callable[[int], None]:
    def refuse(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize(
    ("number", "told"), [(28, "the disk is full"), (122, "the disk is full"), (30, "the disk is read-only")]
)
def test_a_disk_that_takes_nothing_is_named_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, told: str
) -> None:
    monkeypatch.setattr(os, "fsync", refusing(number))
    with pytest.raises(UserError, match=told):
        save(tmp_path / "checkpoints", "grpo", 1, some_adapter(1), None)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_checkpoint_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the rename nothing is listed, and a save in place of an older one leaves that until then."""
    save(tmp_path, "grpo", 1, some_adapter(1), None)
    real, seen = os.replace, []

    def replace(source: Path, target: Path) -> None:
        if Path(target) == tmp_path / "grpo-000002":
            seen.append(names(tmp_path))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    saved = save(tmp_path, "grpo", 2, some_adapter(2), None)
    assert seen == [[("grpo", 1)]]
    assert sorted(path.name for path in saved.path.iterdir()) == [
        "adapter.safetensors",
        "files.json",
        "optimizer.safetensors",
        "progress.json",
    ]


def test_bfloat16_scalars_and_empty_states_come_back(tmp_path: Path) -> None:
    adapter = {"q": {name: jnp.ones((2, 3), jnp.bfloat16) * 1.7 for name in ("a", "b")}}
    state = (optax.EmptyState(), {"count": jnp.asarray(3, jnp.int32), "none": None})
    saved = save(tmp_path, "grpo", 1, adapter, state)
    found = restore(saved, jax.tree.map(jnp.zeros_like, adapter), jax.tree.map(jnp.zeros_like, state))
    assert_same(found.adapter, adapter)
    assert_same(found.state, state)


def test_sharded_arrays_are_gathered_and_placed_as_before(tmp_path: Path) -> None:
    devices = jax.devices()[:2]
    assert len(devices) == 2
    mesh = jax.sharding.Mesh(np.array(devices), ("data",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    adapter = jax.device_put(some_adapter(0), sharding)
    save(tmp_path, "grpo", 1, adapter, OPTIMIZER.init(adapter))
    like = jax.device_put(some_adapter(1), sharding)
    found = find(tmp_path, "grpo", like, OPTIMIZER.init(like)).restored
    assert found is not None
    assert_same(found.adapter, adapter)
    assert found.adapter["q"]["a"].sharding == sharding
    saved = newest(tmp_path)
    assert saved is not None
    assert restore_adapter(saved, like)["q"]["b"].sharding == sharding


def test_a_checkpoint_of_an_earlier_version_is_one_clear_error(tmp_path: Path) -> None:
    old = tmp_path / "grpo-000001"
    (old / "adapter").mkdir(parents=True)
    (old / "adapter" / "_METADATA").write_text("{}")
    (old / "files.json").write_text(json.dumps(folder_sha256(old, without="files.json")))
    with pytest.raises(UserError, match=r"earlier version.*--out"):
        look(tmp_path)
    with pytest.raises(UserError, match=r"earlier version.*--out"):
        restore_adapter(Saved(old, "grpo", 1), some_adapter(1))


def test_metrics_that_cannot_be_written_hold_the_checkpoint_back(tmp_path: Path) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device", "metrics.jsonl")

    saver = Saver(tmp_path, keep=1, before=full)
    saver.save("grpo", 1, some_adapter(0), some_state(some_adapter(0)), {})
    saver.wait()
    assert saver.failures() == [
        f"cannot write the checkpoint {tmp_path / 'grpo-000001'}: the metrics before it cannot be written: "
        "the disk is full; free some space"
    ]
    assert list_saved(tmp_path) == []


def test_what_a_killed_process_left_is_passed_over_and_removed(tmp_path: Path) -> None:
    saver = Saver(tmp_path, keep=3)
    for step in (1, 2):
        write(saver, "grpo", step, step)
    (tmp_path / "grpo-000002" / "files.json").unlink()
    (tmp_path / ".grpo-000003.elsewhere.4711").mkdir()
    (tmp_path / ".cold_start-000003.elsewhere.4711").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    found = look(tmp_path)
    assert found.restored is not None
    assert found.restored.saved.step == 1
    assert_same(found.restored.adapter, some_adapter(1))
    assert [name.split()[0] for name in found.passed_over] == ["grpo-000002", "grpo-000003"]
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".cold_start-000003.elsewhere.4711", "grpo-000001", "notes.txt"]
    assert look(tmp_path).passed_over == ()


def files_of(saved: Saved) -> list[Path]:
    return sorted(file for file in saved.path.rglob("*") if file.is_file())


DAMAGES: dict[str, Callable[[bytes, np.random.Generator], bytes | None]] = {
    "removed": lambda content, rng: None,
    "emptied": lambda content, rng: b"",
    "cut": lambda content, rng: content[: int(rng.integers(len(content)))],
    "bit flipped": lambda content, rng: flipped(content, int(rng.integers(8 * len(content)))),
    "longer": lambda content, rng: content + b"\0",
}


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.fixture(scope="module")
def two_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    saver = Saver(folder, keep=3)
    for step in (1, 2):
        write(saver, "grpo", step, step)
    return folder


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_any_file_leads_to_the_checkpoint_before(two_checkpoints: Path, tmp_path: Path, damage: str) -> None:
    """Every file in turn; the sums and the progress too."""
    rng = np.random.default_rng(0)
    count = len(files_of(Saved(two_checkpoints / "grpo-000002", "grpo", 2)))
    assert count == 4
    for place in range(count):
        folder = Path(shutil.copytree(two_checkpoints, tmp_path / f"{damage}-{place}"))
        file = files_of(Saved(folder / "grpo-000002", "grpo", 2))[place]
        content = DAMAGES[damage](file.read_bytes(), rng) if file.stat().st_size else None
        file.unlink() if content is None else file.write_bytes(content)
        assert file.name == "files.json" or damaged(Saved(folder / "grpo-000002", "grpo", 2)), file.name
        if place + 1 < count and file.name != "files.json":
            continue  # reading the arrays takes a while
        found = look(folder)
        assert found.restored is not None
        assert found.restored.saved.step == 1, file.name
        assert_same(found.restored.adapter, some_adapter(1))
        assert found.restored.progress == {"best": None}
        assert [name.split()[0] for name in found.passed_over] == ["grpo-000002"]
        assert names(folder) == [("grpo", 1)]


def test_nothing_whole_is_a_clear_error_and_loses_nothing(two_checkpoints: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(two_checkpoints, tmp_path / "copy"))
    for step in (1, 2):
        (folder / f"grpo-{step:06d}" / "progress.json").write_text("{}")
    with pytest.raises(UserError, match=r"all checkpoints of grpo .*: grpo-000002 \(progress.json is damaged"):
        look(folder)
    assert names(folder) == [("grpo", 1), ("grpo", 2)]


def test_a_whole_checkpoint_of_another_shape_is_a_clear_error(two_checkpoints: Path) -> None:
    like = {"q": {name: jnp.zeros((2, 3, 5)) for name in ("a", "b")}}
    with pytest.raises(UserError, match="cannot read the checkpoint"):
        find(two_checkpoints, "grpo", like, OPTIMIZER.init(like))
    assert names(two_checkpoints) == [("grpo", 1), ("grpo", 2)]


@pytest.mark.parametrize("damage", ["removed", "emptied", "bit flipped"])
def test_who_asks_for_a_damaged_checkpoint_gets_one_clear_line(tmp_path: Path, damage: str) -> None:
    adapter = some_adapter(0)
    saved = save(tmp_path, "grpo", 1, adapter, some_state(adapter))
    rng = np.random.default_rng(1)
    for file in [file for file in files_of(saved) if file.stat().st_size]:
        content = file.read_bytes()
        changed = DAMAGES[damage](content, rng)
        file.unlink() if changed is None else file.write_bytes(changed)
        with pytest.raises(UserError, match="cannot read the checkpoint"):
            restore_adapter(saved, adapter)
        file.write_bytes(content)
    assert_same(restore_adapter(saved, some_adapter(1)), adapter)


def test_nothing_saved_is_nothing_found(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    assert list_saved(tmp_path / "absent") == []
