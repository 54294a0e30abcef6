"""Gemma 3 from an Orbax checkpoint: every array in its place, the same logits, and what is refused by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest

from support.orbax_checkpoints import flat_tree, nested_tree, save_orbax, sentencepiece_file
from support.tiny_runs import bytewise_metadata, bytewise_tokenizer, tiny_model_config
from thinkaloud.errors import UserError
from thinkaloud.fetch.models import resolve_model
from thinkaloud.model import orbax_reader
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.orbax_reader import RELEASES, OrbaxTensors, Release
from thinkaloud.model.weights import load_checkpoint, load_config, random_params
from thinkaloud.prompt.tokenizer import load_tokenizer

Tree = dict[str, dict[str, np.ndarray]]


@pytest.fixture(autouse=True)
def tiny_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny Gemma 3 counts as a release, under its sizes."""
    monkeypatch.setitem(orbax_reader.RELEASES, (6, 64), Release(32, 4096))


@pytest.fixture(scope="module")
def tiny() -> tuple[ModelConfig, dict[str, Any]]:
    config = tiny_model_config("gemma3", bytewise_tokenizer().vocab_size)
    params = random_params(config, seed=3)
    rng = np.random.default_rng(5)
    for name, array in params["layers"].items():
        if name.endswith("norm"):  # not all alike
            array += rng.normal(0.0, 0.1, array.shape).astype(np.float32)
    return config, params


@pytest.fixture(scope="module")
def kaggle(tiny: tuple[ModelConfig, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as Kaggle's: the checkpoint in a folder of its own, `tokenizer.model` beside it. Read only."""
    folder = tmp_path_factory.mktemp("kaggle")
    save_orbax(flat_tree(*tiny), folder / "gemma3-tiny-it")
    sentencepiece_file(bytewise_metadata(), folder / "tokenizer.model")
    return folder


def refuse(source: Path, *parts: str) -> None:
    with pytest.raises(UserError) as caught:
        load_checkpoint(resolve_model(str(source)))
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_array_of_a_kaggle_folder_lands_in_its_place(
    tiny: tuple[ModelConfig, dict[str, Any]], kaggle: Path
) -> None:
    files = resolve_model(str(kaggle))
    assert (files.kind, files.name, files.frame) == ("orbax", "gemma3-tiny-it", "gemma")
    assert "Gemma terms" in files.license
    assert load_config(files) == tiny[0]
    config, params = load_checkpoint(files)
    assert config == tiny[0]
    jax.tree.map(np.testing.assert_array_equal, params, tiny[1])
    tokenizer, expected = load_tokenizer(files), bytewise_tokenizer()
    assert tokenizer.identity == expected.identity
    assert (tokenizer.bos, tokenizer.eos, tokenizer.pad) == ("<bos>", "<eos>", "<pad>")
    text = "the thinking <end_of_turn>\n\nof  Zoë 7"
    assert tokenizer.encode(text) == expected.encode(text)


def test_the_tree_of_the_gemma_library_and_bfloat16(tiny: tuple[ModelConfig, dict[str, Any]], tmp_path: Path) -> None:
    half = jax.tree.map(lambda leaf: leaf.astype(ml_dtypes.bfloat16), tiny[1])
    save_orbax(nested_tree(flat_tree(tiny[0], half)), tmp_path / "gemma3-tiny-pt")
    sentencepiece_file(bytewise_metadata(), tmp_path / "gemma3-tiny-pt" / "tokenizer.model")
    files = resolve_model(str(tmp_path / "gemma3-tiny-pt"))
    assert files.frame == "gemma_base"  # a base model never saw the end of a turn
    config, params = load_checkpoint(files, ml_dtypes.bfloat16)
    assert (config, params["embed"].dtype) == (tiny[0], ml_dtypes.bfloat16)
    jax.tree.map(np.testing.assert_array_equal, params, half)


def test_releases_are_those_of_hugging_face() -> None:
    """Sizes of `google/gemma-3-*`'s config.json that the arrays do not say."""
    windows = {key: (own.sliding_window, own.max_position, own.rope_factor) for key, own in RELEASES.items()}
    small, large = (512, 32_768, 1.0), (1024, 131_072, 8.0)
    known = {(18, 640): small, (26, 1152): small, (34, 2560): large, (48, 3840): large, (62, 5376): large}
    assert {key: windows[key] for key in known} == known
    assert [key for key, own in RELEASES.items() if own.scale_by_width] == [(62, 5376)]


def test_a_large_release_has_its_own_scales(
    tiny: tuple[ModelConfig, dict[str, Any]], kaggle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(orbax_reader.RELEASES, (6, 64), RELEASES[62, 5376])
    config = load_config(resolve_model(str(kaggle)))
    assert config.query_scale == pytest.approx((64 / tiny[0].num_heads) ** -0.5)
    assert config.rope_scaling is not None
    assert (config.rope_scaling.kind, config.rope_scaling.factor, config.rope_local_theta) == ("linear", 8.0, 1e4)


def without(tree: Tree) -> None:
    del tree["transformer/layer_3/attn/_key_norm"]


def more(tree: Tree) -> None:
    tree["transformer/layer_3/skip_scale"] = {"w": np.ones(3, np.float32)}


def wider(tree: Tree) -> None:
    tree["transformer/layer_3/mlp/linear"]["w"] = np.ones((7, 64), np.float32)


def flatter(tree: Tree) -> None:
    tree["transformer/layer_3/attn/q_einsum"]["w"] = np.ones((64, 64), np.float32)


def broken(tree: Tree) -> None:
    tree["transformer/final_norm"]["scale"] = np.full(64, np.nan, np.float32)


def no_gemma(tree: Tree) -> None:
    del tree["transformer/embedder"]


def shallower(tree: Tree) -> None:
    for name in [name for name in tree if "/layer_5/" in name]:
        del tree[name]


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (without, ("1 of 80 tensors are missing", "'layer_3/attn/_key_norm'")),
        (more, ("unexpected", "'layer_3/skip_scale'")),
        (wider, ("layer_3/mlp/linear", "expected shape (64, 128), found (64, 7)")),
        (flatter, ("layer_3/attn/q_einsum", "expected an array of 3 axes, found shape (64, 64)")),
        (broken, ("final_norm", "not finite")),
        (no_gemma, ("expected a checkpoint of Gemma 3, found one without embedder",)),
        (shallower, ("18 of width 640, 26 of width 1152", "found 5 of width 64", "give a Hugging Face directory")),
    ],
)
def test_what_is_refused(
    change: Callable[[Tree], None], parts: tuple[str, ...], tiny: tuple[ModelConfig, dict[str, Any]], tmp_path: Path
) -> None:
    tree = {name: dict(module) for name, module in flat_tree(*tiny).items()}
    change(tree)
    save_orbax(tree, tmp_path / "ours")
    sentencepiece_file(bytewise_metadata(), tmp_path / "tokenizer.model")
    refuse(tmp_path, *parts)


def test_the_vision_tower_is_left_out(tiny: tuple[ModelConfig, dict[str, Any]], tmp_path: Path) -> None:
    image = {
        "SigLiPFromPatches_0/siglip_encoder": {"pos_embedding": np.ones((1, 4, 8), np.float32)},
        "transformer/embedder/mm_input_projection": {"w": np.ones((8, 64), np.float32)},
        "transformer/embedder/mm_soft_embedding_norm": {"scale": np.ones(8, np.float32)},
    }
    found = OrbaxTensors(save_orbax(flat_tree(*tiny) | image, tmp_path / "flat"))
    assert len(found.names()) == 6 * 13 + 2
    assert found.config() == tiny[0]


def test_damage_is_one_line(kaggle: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(kaggle, tmp_path / "damaged"))
    checkpoint = folder / "gemma3-tiny-it"
    (checkpoint / "_METADATA").write_text("{")
    refuse(folder, "is not a whole Orbax checkpoint", "fetch it again")
    (folder / "tokenizer.model").unlink()
    refuse(folder, "expected Gemma's tokenizer.model in it or beside it")
    (checkpoint / "_METADATA").unlink()
    refuse(folder, "or an Orbax checkpoint")


@pytest.mark.parametrize("ocdbt", [True, False], ids=["one database", "a folder an array"])
def test_an_array_that_is_cut_short_or_missing_is_one_line(
    tiny: tuple[ModelConfig, dict[str, Any]], ocdbt: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = save_orbax(flat_tree(*tiny), tmp_path / "gemma3-tiny-it", ocdbt=ocdbt)
    sentencepiece_file(bytewise_metadata(), tmp_path / "tokenizer.model")
    jax.tree.map(np.testing.assert_array_equal, load_checkpoint(resolve_model(str(tmp_path)))[1], tiny[1])
    largest = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    capfd.readouterr()
    for size in (0, len(content) // 2):
        largest.write_bytes(content[:size])
        refuse(tmp_path, "is not a whole Orbax checkpoint", "fetch it again")
    largest.unlink()
    refuse(tmp_path, "is not a whole Orbax checkpoint", "fetch it again")
    assert capfd.readouterr().err == ""  # and no traceback of TensorStore's threads


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"model_type": 1}, "expected byte pairs"),
        ({"byte_fallback": 0}, "expected byte pairs"),
        ({"remove_extra_whitespaces": 1}, "leaves the text as it is"),
        ({"add_dummy_prefix": 1}, "a space before the text"),
    ],
)
def test_other_sentencepiece_models(change: dict[str, int], part: str, kaggle: Path, tmp_path: Path) -> None:
    path = sentencepiece_file(bytewise_metadata(), tmp_path / "tokenizer.model", **change)
    with pytest.raises(UserError, match=part):
        load_tokenizer(replace(resolve_model(str(kaggle)), tokenizer=path))


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x0a\xff\xff\xff\xff\x0f"])
def test_files_that_are_no_sentencepiece_model(content: bytes, kaggle: Path, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is not a SentencePiece model"):
        load_tokenizer(replace(resolve_model(str(kaggle)), tokenizer=path))
