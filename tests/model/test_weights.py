"""Weights in and out: safetensors, GGUF, what is refused by name, and what a write leaves behind."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from support.golden_files import REAL, TINY, golden, golden_directory, golden_weights, real_files
from thinkaloud.errors import UserError
from thinkaloud.fetch.gguf_header import read_gguf_header
from thinkaloud.fetch.models import ModelFiles, resolve_model
from thinkaloud.model import save_hf as save_hf_module
from thinkaloud.model.config import ModelConfig, RopeScaling, tiny_config
from thinkaloud.model.gguf_config import llama3_divisors
from thinkaloud.model.hf_config import read_hf_config
from thinkaloud.model.layout import num_parameters, parameters
from thinkaloud.model.random_weights import random_params
from thinkaloud.model.save_hf import save_hf
from thinkaloud.model.weights import load_checkpoint, load_config


def leaves(config: ModelConfig, params: dict[str, Any]) -> dict[str, np.ndarray]:
    """The tree as Hugging Face names to arrays in the stored orientation."""
    found = {}
    for leaf in parameters(config):
        array = params["layers"][leaf.path[1]] if leaf.stacked else params[leaf.path[0]]
        for layer in range(config.num_layers) if leaf.stacked else (None,):
            matrix = array if layer is None else array[layer]
            found[leaf.hf.format(layer)] = matrix.T if leaf.transposed else matrix
    return found


def expect_one_line(files: ModelFiles, *named: str) -> None:
    with pytest.raises(UserError) as caught:
        load_checkpoint(files)
    for part in named:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", TINY)
def test_every_tensor_of_a_directory_lands_in_its_place(name: str, tmp_path: Path) -> None:
    config, params = load_checkpoint(golden_directory(name, tmp_path))
    weights = golden_weights(name)
    found = leaves(config, params)
    assert found.keys() == weights.keys()
    for key, array in weights.items():
        np.testing.assert_array_equal(found[key], array)
    assert ("head" in params) == ("lm_head.weight" in weights)
    assert params["layers"]["q"].shape == (3, 24, config.num_heads * config.head_dim)
    assert params["layers"]["down"].dtype == np.float32
    assert num_parameters(config) == sum(array.size for array in weights.values())


def test_bfloat16(tmp_path: Path) -> None:
    files = golden_directory("tiny-qwen3", tmp_path)
    half = {key: value.astype(ml_dtypes.bfloat16) for key, value in golden_weights("tiny-qwen3").items()}
    save_file(half, tmp_path / "model.safetensors")
    config, params = load_checkpoint(files, ml_dtypes.bfloat16)
    assert params["layers"]["up"].dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(
        leaves(config, params)["model.layers.1.mlp.up_proj.weight"], half["model.layers.1.mlp.up_proj.weight"]
    )
    _, wide = load_checkpoint(files)
    assert wide["layers"]["up"].dtype == np.float32
    np.testing.assert_array_equal(wide["layers"]["up"], params["layers"]["up"].astype(np.float32))


@pytest.mark.parametrize("name", ["tiny-gemma3-linear", "tiny-llama3", "tiny-qwen2-window"])
@pytest.mark.parametrize("shard_bytes", [1 << 30, 10_000])
def test_save_and_load_again(name: str, shard_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(save_hf_module, "SHARD_BYTES", shard_bytes)
    config, params = load_checkpoint(golden_directory(name, tmp_path / "from"))
    save_hf(config, params, {"tokenizer.json": "{}"}, tmp_path / "to", extra={"eos_token_id": 7})
    assert json.loads((tmp_path / "to" / "config.json").read_text())["eos_token_id"] == 7
    assert (tmp_path / "to" / "tokenizer.json").read_text() == "{}"
    assert (tmp_path / "to" / "model.safetensors").exists() == (shard_bytes > 1 << 20)
    assert (tmp_path / "to" / "model.safetensors.index.json").exists() == (shard_bytes < 1 << 20)
    again, loaded = load_checkpoint(resolve_model(str(tmp_path / "to")))
    assert again == config
    for key, array in leaves(config, params).items():
        np.testing.assert_array_equal(leaves(again, loaded)[key], array)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["from", "to"]  # no temporary folder is left


def test_save_in_bfloat16(tmp_path: Path) -> None:
    config = tiny_config()
    save_hf(config, random_params(config, 0), {}, tmp_path / "to", dtype=ml_dtypes.bfloat16)
    stored = load_file(tmp_path / "to" / "model.safetensors")
    assert {array.dtype for array in stored.values()} == {np.dtype(ml_dtypes.bfloat16)}
    assert json.loads((tmp_path / "to" / "config.json").read_text())["torch_dtype"] == "bfloat16"


def test_save_never_overwrites(tmp_path: Path) -> None:
    config = tiny_config()
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="it exists"):
        save_hf(config, random_params(config, 0), {}, tmp_path / "kept")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["notes.txt"]


def test_save_that_fails_leaves_nothing(tmp_path: Path) -> None:
    config = tiny_config()
    with pytest.raises(UserError, match="cannot write the model"):
        save_hf(config, random_params(config, 0), {"no/such/folder.json": ""}, tmp_path / "to")
    assert list(tmp_path.iterdir()) == []


def change(edit: Callable[[dict[str, np.ndarray]], None], name: str, directory: Path) -> ModelFiles:
    files = golden_directory(name, directory)
    weights = golden_weights(name)
    edit(weights)
    save_file(weights, directory / "model.safetensors")
    return files


def test_missing_tensor(tmp_path: Path) -> None:
    files = change(lambda w: w.pop("model.layers.1.self_attn.k_norm.weight"), "tiny-gemma3", tmp_path)
    expect_one_line(files, "1 of 41 tensors are missing", "model.layers.1.self_attn.k_norm.weight")


def test_unexpected_tensor(tmp_path: Path) -> None:
    files = change(lambda w: w.update({"model.layers.3.mlp.up_proj.weight": np.zeros(3)}), "tiny-llama", tmp_path)
    expect_one_line(files, "1 unexpected", "model.layers.3.mlp.up_proj.weight")


def test_wrong_shape(tmp_path: Path) -> None:
    files = change(lambda w: w.update({"model.norm.weight": np.zeros(23, np.float32)}), "tiny-llama", tmp_path)
    expect_one_line(files, "model.norm.weight", "expected shape (24,), found (23,)")


def test_transposed_matrix_is_refused(tmp_path: Path) -> None:
    key = "model.layers.0.mlp.up_proj.weight"
    files = change(lambda w: w.update({key: np.ascontiguousarray(w[key].T)}), "tiny-llama", tmp_path)
    expect_one_line(files, key, "expected shape (32, 24), found (24, 32)")


def test_integers_and_nan_are_refused(tmp_path: Path) -> None:
    key = "model.layers.2.input_layernorm.weight"
    expect_one_line(
        change(lambda w: w.update({key: w[key].astype(np.int32)}), "tiny-llama", tmp_path / "a"), key, "I32"
    )
    expect_one_line(change(lambda w: w[key].fill(np.nan), "tiny-llama", tmp_path / "b"), key, "not finite")


def test_stored_copy_of_a_tied_head(tmp_path: Path) -> None:
    def copy(weights: dict[str, np.ndarray]) -> None:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"].copy()

    _, params = load_checkpoint(change(copy, "tiny-llama", tmp_path / "same"))
    assert "head" not in params

    def other(weights: dict[str, np.ndarray]) -> None:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"] + 1

    expect_one_line(change(other, "tiny-llama", tmp_path / "other"), "lm_head.weight", "tie_word_embeddings")


def test_multimodal_names_are_read_and_the_vision_tower_left(tmp_path: Path) -> None:
    files = golden_directory("tiny-gemma3", tmp_path)
    weights = golden_weights("tiny-gemma3")
    for wrap in ("language_model.{}", "model.language_model.{}"):
        renamed = {
            wrap.format(key.removeprefix("model.") if "model.l" in wrap else key): v for key, v in weights.items()
        }
        renamed["vision_tower.vision_model.head.weight"] = np.zeros(2, np.float32)
        save_file(renamed, tmp_path / "model.safetensors")
        config, params = load_checkpoint(files)
        np.testing.assert_array_equal(leaves(config, params)["model.norm.weight"], weights["model.norm.weight"])


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_truncated_safetensors(keep: int, tmp_path: Path) -> None:
    files = golden_directory("tiny-llama", tmp_path)
    content = files.weights[0].read_bytes()
    files.weights[0].write_bytes(content[:keep])
    expect_one_line(files, "model.safetensors", "fetch it again")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"architectures": ["LlamaForCausalLM"]}'])
def test_broken_config(text: str, tmp_path: Path) -> None:
    files = golden_directory("tiny-llama", tmp_path)
    (tmp_path / "config.json").write_text(text)
    expect_one_line(files, "config.json")


def test_random_params_have_the_layout_of_a_checkpoint(tmp_path: Path) -> None:
    for name in TINY:
        config, loaded = load_checkpoint(golden_directory(name, tmp_path / name))
        made = random_params(config, 3)
        assert {key: array.shape for key, array in leaves(config, made).items()} == {
            key: array.shape for key, array in leaves(config, loaded).items()
        }
        assert made["layers"].keys() == loaded["layers"].keys()
    config = tiny_config()
    one, two = random_params(config, 0), random_params(config, 0)
    np.testing.assert_array_equal(one["layers"]["gate"], two["layers"]["gate"])
    assert not np.array_equal(one["layers"]["gate"], random_params(config, 1)["layers"]["gate"])
    assert not np.array_equal(one["layers"]["gate"], one["layers"]["up"])
    assert one["layers"]["gate"].std() == pytest.approx(64**-0.5, rel=0.02)
    assert one["embed"].dtype == np.float32
    assert not one["final_norm"].any()  # Gemma multiplies by 1 + weight


def test_tiny_model() -> None:
    config, params = load_checkpoint(resolve_model("tiny"))
    assert config == tiny_config()
    assert params["embed"].shape == (261, 64)
    assert load_config(resolve_model("tiny")) == config


# GGUF files, written here by the `gguf` package as llama.cpp's converter would write them.


def write_gguf(path: Path, name: str, **metadata: Any) -> ModelFiles:
    """A tiny golden model as GGUF: Gemma's norms plus 1, Llama's query and key rows in pairs."""
    import gguf

    config = read_hf_config(json.loads(str(golden(name)["config"])))
    writer = gguf.GGUFWriter(path, config.family)
    arch = config.family
    scaling = config.rope_scaling
    fields: dict[str, Any] = {
        f"{arch}.block_count": config.num_layers,
        f"{arch}.context_length": config.max_position,
        f"{arch}.embedding_length": config.hidden_size,
        f"{arch}.feed_forward_length": config.intermediate_size,
        f"{arch}.attention.head_count": config.num_heads,
        f"{arch}.attention.head_count_kv": config.num_kv_heads,
        f"{arch}.attention.key_length": config.head_dim,
        f"{arch}.attention.value_length": config.head_dim,
        f"{arch}.attention.layer_norm_rms_epsilon": config.norm_eps,
        f"{arch}.rope.freq_base": config.rope_theta,
        **metadata,
    }
    if config.sliding_window:
        fields[f"{arch}.attention.sliding_window"] = config.sliding_window
        fields[f"{arch}.attention.sliding_window_pattern"] = list(config.sliding_layers)
    if scaling and scaling.kind == "linear":
        fields |= {f"{arch}.rope.scaling.type": "linear", f"{arch}.rope.scaling.factor": scaling.factor}
    if scaling and scaling.kind == "llama3":
        divisors = llama3_divisors(replace(scaling, original_max_position=8192), config.rope_theta, config.head_dim)
        writer.add_tensor("rope_freqs.weight", divisors.astype(np.float32))
    for key, value in fields.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, list):
            writer.add_array(key, value)
        else:
            writer.add_string(key, value)
    weights = golden_weights(name)
    for leaf in parameters(config):
        for layer in range(config.num_layers) if leaf.stacked else (None,):
            array = weights[leaf.hf.format(layer)]
            if config.norm_plus_one and leaf.path[-1].endswith("norm"):
                array = array + 1
            if config.family == "llama" and leaf.path[-1] in ("q", "k"):
                halves = array.reshape(-1, 2, config.head_dim // 2, config.hidden_size)
                array = np.ascontiguousarray(halves.swapaxes(1, 2).reshape(array.shape))
            writer.add_tensor(leaf.gguf.format(layer), array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return resolve_model(str(path))


@pytest.mark.parametrize(
    "name", ["tiny-gemma3", "tiny-gemma3-linear", "tiny-llama", "tiny-llama3", "tiny-qwen2", "tiny-qwen3"]
)
def test_gguf_gives_back_what_the_directory_holds(name: str, tmp_path: Path) -> None:
    config, params = load_checkpoint(golden_directory(name, tmp_path / "hf"))
    ours, loaded = load_checkpoint(write_gguf(tmp_path / "model.gguf", name))
    if name == "tiny-llama3":
        config = replace(config, rope_scaling=RopeScaling(kind="llama3", factor=8.0))
    if config.family == "gemma3":
        config = replace(config, query_scale=config.head_dim**-0.5)  # GGUF has no query_pre_attn_scalar
    assert ours == config
    for key, array in leaves(config, params).items():
        np.testing.assert_allclose(leaves(ours, loaded)[key], array, rtol=0, atol=2e-7)


def test_gguf_quantised_blocks_are_read_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Q8_0: each block of 32 is a half-precision scale and 32 signed bytes; here, written by hand."""
    import gguf

    from thinkaloud.model import gguf_reader

    monkeypatch.setattr(gguf_reader, "BLOCK_ELEMENTS", 64)  # one row at a time
    files = write_gguf(tmp_path / "model.gguf", "tiny-llama")
    header = read_gguf_header(files.weights[0])
    config = load_config(files)
    rows = np.arange(5 * 64).reshape(5, 2, 32) % 127 - 63
    scales = np.array([[0.5, 2.0], [1.0, 0.25], [0.125, 4.0], [1.0, 1.0], [8.0, 0.0625]], np.float16)
    packed = np.concatenate([scales[..., None].view(np.uint8), rows.astype(np.int8).view(np.uint8)], axis=-1)
    (tmp_path / "blocks").write_bytes(packed.tobytes())
    kind = int(gguf.GGMLQuantizationType.Q8_0)
    info = {"w": type(header.tensors["token_embd.weight"])((5, 64), kind, 0)}
    tensors = gguf_reader.GGUFTensors(
        replace(header, path=tmp_path / "blocks", tensors=info, file_size=packed.size), config
    )
    found = np.concatenate([block for _, block in tensors.blocks("w", parameters(config)[0])])
    np.testing.assert_array_equal(found, (rows * scales[..., None].astype(np.float32)).reshape(5, 64))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.1, 0.5, 0.999])
def test_truncated_gguf(share: float, tmp_path: Path) -> None:
    files = write_gguf(tmp_path / "model.gguf", "tiny-gemma3")
    content = files.weights[0].read_bytes()
    files.weights[0].write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError) as caught:
        load_checkpoint(files)
    assert str(files.weights[0]) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_corrupt_gguf_headers_end_in_one_line(tmp_path: Path) -> None:
    """Random bytes over the header: an error for the user, never a crash, a hang or a huge allocation."""
    files = write_gguf(tmp_path / "model.gguf", "tiny-qwen2")
    content = bytearray(files.weights[0].read_bytes())
    generator = np.random.default_rng(0)
    messages = []
    for _ in range(300):
        damaged = bytearray(content)
        for at in generator.integers(0, 3000, 4):
            damaged[at] = int(generator.integers(0, 256))
        files.weights[0].write_bytes(damaged)
        try:
            load_checkpoint(files)
        except UserError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert not [message for message in messages if "\n" in message]


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ({"gemma3.final_logit_softcapping": 30.0}, "final_logit_softcapping"),
        ({"gemma3.rope.scaling.type": "yarn"}, "yarn"),
        ({"gemma3.rope.dimension_count": 8}, "rope.dimension_count"),
        ({"gemma3.attention.causal": False}, "attention.causal"),
        ({"gemma3.expert_count": 4}, "expert_count"),
        ({"gemma3.hyperdrive": 1}, "gemma3.hyperdrive"),
        ({"split.count": 2}, "2 parts"),
    ],
)
def test_gguf_metadata_refused_by_name(metadata: dict[str, Any], named: str, tmp_path: Path) -> None:
    expect_one_line(write_gguf(tmp_path / "model.gguf", "tiny-gemma3", **metadata), named)


def test_gguf_of_another_architecture(tmp_path: Path) -> None:
    files = write_gguf(tmp_path / "model.gguf", "tiny-gemma3")
    content = files.weights[0].read_bytes()
    field = b"general.architecture" + struct.pack("<IQ", 8, 6)
    assert field + b"gemma3" in content
    files.weights[0].write_bytes(content.replace(field + b"gemma3", field + b"gemma2"))
    expect_one_line(files, "'gemma2'", "did you mean 'gemma3'")


@pytest.mark.weights
@pytest.mark.parametrize("name", REAL)
def test_real_weights(name: str) -> None:
    """Sizes, and numbers that transformers' own GGUF loader gave (`scripts/make_goldens.py` compares every tensor)."""
    config, params = load_checkpoint(real_files(name))
    if name == "gemma3-270m":
        assert num_parameters(config) == 268_098_176
        assert config.sliding_layers == tuple((index + 1) % 6 != 0 for index in range(18))
        np.testing.assert_array_equal(params["layers"]["attn_norm"][0][:4], [15.0, 15.875, 9.8125, 40.5])
    else:
        assert num_parameters(config) == 134_515_008
        assert (config.rope_theta, config.norm_eps) == (100_000.0, 1e-5)
        np.testing.assert_array_equal(params["final_norm"][:4], [1.7578125, 1.8203125, 1.78125, 1.6015625])


def test_unreadable_file_is_one_line(tmp_path: Path) -> None:
    files = write_gguf(tmp_path / "model.gguf", "tiny-llama")
    os.remove(files.weights[0])
    expect_one_line(files, "cannot read the model file")
