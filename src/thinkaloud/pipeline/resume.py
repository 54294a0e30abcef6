"""Whether a run may go on with what is at hand: what changed since it began, and what of it the user allows."""

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
"""Of a run directory: the digests of the base model that the run began with."""
SOFTWARE = ("thinkaloud", "jax", "python", "cpu", "devices")
"""Of environment.json: what may change a step's numbers in their last digits."""
_SAMPLES, _BLOCK_BYTES = 64, 2**16


def check_recipe(run: RunDir, recipe: Recipe, allowed: Sequence[str] = ()) -> list[str]:
    """Compare the recipe with the one that the run began with.

    Args:
        allowed: Keys, such as `grpo.max_steps`, that may have changed.

    Returns:
        What changed and is allowed, each as `key: old -> new`.

    Raises:
        UserError: Names every other key that differs, with both values; or a key in `allowed` is none.
    """
    before = flat(parse_recipe(run.read_json("resolved.json"), where=str(run.path / "resolved.json")).resolved())
    after = flat(recipe.resolved())
    for key in allowed:
        if key not in {*before, *after}:
            raise UserError(f"--allow-change {key}: a recipe has no such key{nearest(key, {*before, *after})}")
    changed = changed_keys(before, after)
    said = {key: f"{key}: {_short(before.get(key))} -> {_short(after.get(key))}{_kept(key)}" for key in changed}
    refused = [said[key] for key in changed if key not in allowed]
    if refused:
        raise UserError(
            f"the recipe is not the one that {run.path} began with (changed: {', '.join(refused)}); resume with "
            f"{run.path / 'recipe.toml'} and the same --set, allow a change with --allow-change KEY, or start anew "
            "with --out"
        )
    return list(said.values())


def base_digests(files: ModelFiles) -> dict[str, str]:
    """What tells a base model from another, by the key of the recipe that names it.

    Of each file its size and 64 blocks spread over it, 4 MiB in all: another model, revision or fine-tune differs
    there, and a large one is not read twice.
    """
    config = [files.directory / "config.json"] if files.directory and files.kind == "hf" else []
    adapter = [files.adapter, files.adapter.with_name("adapter_config.json")] if files.adapter else []
    return {"model.source": _digest([*config, *files.weights]), "model.adapter": _digest(adapter)}


def check_base(run: RunDir, digests: Mapping[str, str], allowed: Sequence[str] = ()) -> None:
    """Compare the base model's files with those that the run began with; a run that did not note them is believed.

    Raises:
        UserError: They are others, and the key is not in `allowed`.
    """
    before = run.read_json(BASE) if (run.path / BASE).exists() else {}
    changed = [key for key, digest in digests.items() if before.get(key, digest) != digest and key not in allowed]
    if changed:
        raise UserError(
            f"the files of {' and '.join(changed)} are not those that {run.path} began with: its adapter belongs to "
            f"another base; put them back, allow it with --allow-change {changed[0]}, or start anew with --out"
        )


def changed_software(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between the machines and versions of two sessions, for one line; empty where nothing does."""
    return ", ".join(
        f"{key}: {before[key]} -> {now[key]}" for key in SOFTWARE if key in before and before[key] != now[key]
    )


def _kept(key: str) -> str:
    """What a change comes too late for."""
    part = key.partition(".")[0]
    what = {"data": "the tasks", "prompt": "the prompts"}.get(part)
    return f" (without effect: the run keeps {what} it began with)" if what else ""


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
