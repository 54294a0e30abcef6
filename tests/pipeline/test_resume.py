"""Checks of the base model and the software before a resume; test_pipeline.py tests those of the recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from thinkaloud.config.load import parse_recipe
from thinkaloud.errors import UserError
from thinkaloud.fetch.models import ModelFiles, resolve_model
from thinkaloud.pipeline.resume import BASE, base_digests, changed_software, check_base, check_recipe
from thinkaloud.storage.run_directory import RunDir

FAR = 2**22
"""Bytes into a file of 8 MiB: between its blocks there is a tuned weight now and then, in a fine-tune in all."""


@pytest.fixture
def files(tmp_path: Path) -> ModelFiles:
    weights, adapter = tmp_path / "model.safetensors", tmp_path / "adapter_model.safetensors"
    weights.write_bytes(bytes(2 * FAR))
    adapter.write_bytes(b"adapter")
    for name in ("config.json", "adapter_config.json"):
        (tmp_path / name).write_text("{}")
    return replace(resolve_model("tiny"), kind="hf", weights=(weights,), directory=tmp_path, adapter=adapter)


def change(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + 2**18] = b"\1" * len(content[at : at + 2**18])
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("key", "meddle"),
    [
        ("model.source", lambda folder: change(folder / "model.safetensors", 0)),
        ("model.source", lambda folder: change(folder / "model.safetensors", FAR)),
        ("model.source", lambda folder: change(folder / "model.safetensors", 2 * FAR - 1)),
        ("model.source", lambda folder: (folder / "model.safetensors").write_bytes(bytes(2 * FAR + 1))),
        ("model.source", lambda folder: (folder / "config.json").write_text('{"rope_theta": 1}')),
        ("model.adapter", lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"another")),
        ("model.adapter", lambda folder: (folder / "adapter_config.json").write_text('{"r": 8}')),
    ],
)
def test_another_base_is_refused_unless_allowed(
    files: ModelFiles, tmp_path: Path, key: str, meddle: Callable[[Path], object]
) -> None:
    run = RunDir(tmp_path)
    before = base_digests(files)
    check_base(run, before)  # nothing is noted of a run that began without
    run.write_json(BASE, before)
    check_base(run, base_digests(files))
    meddle(tmp_path)
    with pytest.raises(UserError, match=rf"the files of {key} .*found others.* --allow-change {key}"):
        check_base(run, base_digests(files))
    check_base(run, base_digests(files), [key])


def test_where_it_lies_is_no_part_of_a_model(files: ModelFiles, tmp_path: Path) -> None:
    before = base_digests(files)
    moved = tmp_path / "renamed.gguf"
    files.weights[0].rename(moved)
    assert base_digests(replace(files, weights=(moved,))) == before
    assert base_digests(resolve_model("tiny"))["model.source"] != before["model.source"]


def test_other_software_is_named() -> None:
    before = {"jax": "0.9", "python": "3.11.7", "cpu": "A", "memory_gb": 8}
    assert changed_software(before, {**before, "memory_gb": 16}) == ""
    assert changed_software({}, before) == ""
    now = {**before, "jax": "0.10", "cpu": "B"}
    assert changed_software(before, now) == "jax: 0.9 -> 0.10, cpu: A -> B"


def test_a_change_that_comes_too_late_says_so(tmp_path: Path) -> None:
    recipe = parse_recipe({"name": "r", "model": "tiny"})
    (tmp_path / "resolved.json").write_text(json.dumps(recipe.resolved()))
    other = parse_recipe({"name": "r", "model": "tiny", "data": {"test_share": 0.25}, "grpo": {"beta": 0.5}})
    data, beta = check_recipe(RunDir(tmp_path), other, ["data.test_share", "grpo.beta"])
    assert data.startswith("data.test_share: 0.05 -> 0.25 (no effect")
    assert beta == "grpo.beta: 0.0 -> 0.5"
