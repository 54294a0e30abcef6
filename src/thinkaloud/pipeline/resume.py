"""Checks before a resume: what changed since the run started, and which changes the user allows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from thinkaloud.config import Recipe
from thinkaloud.config.flat import changed_keys, flat
from thinkaloud.config.load import parse_recipe
from thinkaloud.errors import UserError, nearest
from thinkaloud.fetch.models import ModelFiles
from thinkaloud.storage.run_directory import RunDir

BASE = "base.json"
"""File of a run directory: the digests of its base model."""
SOFTWARE = ("thinkaloud", "jax", "python", "cpu", "devices")
"""Keys of environment.json that can change the last digits of a step's numbers."""
_SAMPLES, _BLOCK_BYTES = 64, 2**16


def check_recipe(run: RunDir, recipe: Recipe, allowed: Sequence[str] = ()) -> list[str]:
    """Compare the recipe with the one that the run started with.

    Args:
        allowed: Keys, such as `grpo.max_steps`, that may have changed.

    Returns:
        The allowed changes, each as `key: old -> new`.

    Raises:
        UserError: Another key differs (names them all, with both values), or a key in `allowed` does not exist.
    """
    before = flat(parse_recipe(run.read_json("resolved.json"), where=str(run.path / "resolved.json")).resolved())
    after = flat(recipe.resolved())
    for key in allowed:
        if key not in {*before, *after}:
            raise UserError(f"--allow-change {key}: expected a key of the recipe{nearest(key, {*before, *after})}")
    changed = changed_keys(before, after)
    changes = {key: f"{key}: {_short(before.get(key))} -> {_short(after.get(key))}{_no_effect(key)}" for key in changed}
    refused = [changes[key] for key in changed if key not in allowed]
    if refused:
        raise UserError(
            f"expected the recipe that {run.path} started with, found changes ({', '.join(refused)}); resume with "
            f"{run.path / 'recipe.toml'} and the same --set, allow a change with --allow-change KEY, or start a new "
            "run with --out"
        )
    return list(changes.values())


def base_digests(files: ModelFiles) -> dict[str, str]:
    """Digests that identify the base model, by the key of the recipe that names it.

    A digest covers the size of each file and 64 blocks spread over it, 4 MiB in all: enough to detect another model,
    revision or fine-tune without reading large files completely.
    """
    config = [files.directory / "config.json"] if files.directory and files.kind == "hf" else []
    adapter = [files.adapter, files.adapter.with_name("adapter_config.json")] if files.adapter else []
    return {"model.source": _digest([*config, *files.weights]), "model.adapter": _digest(adapter)}


def check_base(run: RunDir, digests: Mapping[str, str], allowed: Sequence[str] = ()) -> None:
    """Compare the base model's files with those that the run started with, if the run recorded them.

    Raises:
        UserError: They differ, and the key is not in `allowed`.
    """
    before = run.read_json(BASE) if (run.path / BASE).exists() else {}
    changed = [key for key, digest in digests.items() if before.get(key, digest) != digest and key not in allowed]
    if changed:
        raise UserError(
            f"expected the files of {' and '.join(changed)} that {run.path} started with, found others: its adapter "
            f"belongs to another base; restore them, allow the change with --allow-change {changed[0]}, or start a new "
            "run with --out"
        )


def changed_software(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The differences between the machines and versions of two sessions, as one phrase; empty if there are none."""
    return ", ".join(
        f"{key}: {before[key]} -> {now[key]}" for key in SOFTWARE if key in before and before[key] != now[key]
    )


def _no_effect(key: str) -> str:
    """A note for changes that have no effect on an existing run; empty for others."""
    kept = {"data": "tasks", "prompt": "prompts"}.get(key.partition(".")[0])
    return f" (no effect: the run keeps its original {kept})" if kept else ""


def _digest(paths: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        found.update(f"{size}\n".encode())
        with path.open("rb") as file:
            for sample in range(_SAMPLES):
                file.seek(max(0, size - _BLOCK_BYTES) * sample // (_SAMPLES - 1))
                found.update(file.read(_BLOCK_BYTES))
    return found.hexdigest()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
