"""Gemma as Kaggle has it for Flax, written from our parameters: Google's tree, and `tokenizer.model`."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from thinkaloud.model.config import ModelConfig
from thinkaloud.prompt.gguf_tokenizer import USER_DEFINED

BPE = 2


def flat_tree(config: ModelConfig, params: dict[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """The tree as `tunix/models/gemma3/params.py` lists it: module path to the module's parameters."""
    heads, groups, size = config.num_heads, config.num_kv_heads, config.head_dim

    def by_head(matrix: np.ndarray, count: int) -> np.ndarray:
        return np.stack([matrix[:, head * size : (head + 1) * size] for head in range(count)])

    tree = {
        "transformer/embedder": {"input_embedding": params["embed"]},
        "transformer/final_norm": {"scale": params["final_norm"]},
    }
    for index in range(config.num_layers):
        own = {name: stacked[index] for name, stacked in params["layers"].items()}
        rows = own["o"]
        layer = {
            "attn/_key_norm": {"scale": own["k_norm"]},
            "attn/_query_norm": {"scale": own["q_norm"]},
            "attn/attn_vec_einsum": {"w": np.stack([rows[head * size : (head + 1) * size] for head in range(heads)])},
            "attn/kv_einsum": {"w": np.stack([by_head(own["k"], groups), by_head(own["v"], groups)])},
            "attn/q_einsum": {"w": by_head(own["q"], heads)},
            "mlp/gating_einsum": {"w": np.stack([own["gate"].T, own["up"].T])},
            "mlp/linear": {"w": own["down"]},
            "post_attention_norm": {"scale": own["post_attn_norm"]},
            "post_ffw_norm": {"scale": own["post_mlp_norm"]},
            "pre_attention_norm": {"scale": own["attn_norm"]},
            "pre_ffw_norm": {"scale": own["mlp_norm"]},
        }
        tree |= {f"transformer/layer_{index}/{name}": module for name, module in layer.items()}
    return tree


def nested_tree(flat: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    """The same as `gemma.gm.ckpts.save_params` writes it: nested, and the MLP's arrays are not modules of their own."""
    tree: dict[str, Any] = {}
    for path, module in flat.items():
        *folders, last = path.split("/")[1:]
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = module["w"] if "mlp" in folders else dict(module)
    return tree


def save_orbax(tree: Any, folder: Path, *, ocdbt: bool = True) -> Path:
    """The checkpoint as Orbax's `StandardCheckpointer` writes it, which both libraries use.

    Args:
        ocdbt: all arrays in one database, as is usual; else each in a folder of its own, as older ones are.
    """
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_ocdbt=ocdbt)) as checkpointer:
        checkpointer.save(folder.absolute(), args=ocp.args.PyTreeSave(jax.tree.map(jax.numpy.asarray, tree)))
    return folder


def sentencepiece_file(metadata: dict[str, Any], path: Path, **change: Any) -> Path:
    """A SentencePiece model of a GGUF file's pieces, by hand: a protobuf field is a number, a wire type, a value.

    Pieces for control that SentencePiece finds in a text are the user's own, as in Gemma's file.
    """
    fields = {key.removeprefix("tokenizer.ggml."): value for key, value in metadata.items()}
    own = {"<start_of_turn>", "<end_of_turn>", "<mask>"}
    message = b""
    for token, kind, score in zip(fields["tokens"], fields["token_type"], fields["scores"], strict=True):
        kind = USER_DEFINED if token in own or token.startswith("<unused") else 2 if token == "<unk>" else kind
        text = "▁" * len(token) if kind == USER_DEFINED and not token.strip(" ") else token
        piece = _bytes(1, text.encode()) + b"\x15" + struct.pack("<f", score)
        message += _bytes(1, piece + _number(3, kind) if kind != 1 else piece)
    ids = {40: "unknown", 41: "bos", 42: "eos", 43: "padding"}
    trainer = _number(3, change.get("model_type", BPE)) + _number(4, len(fields["tokens"]))
    trainer += _number(35, change.get("byte_fallback", 1))
    trainer += b"".join(_number(number, fields[f"{role}_token_id"]) for number, role in ids.items())
    names = {45: "unknown", 46: "bos", 47: "eos", 48: "padding"}  # by which the library finds them
    trainer += b"".join(
        _bytes(number, fields["tokens"][fields[f"{role}_token_id"]].encode()) for number, role in names.items()
    )
    normalizer = _bytes(1, b"identity") + _number(3, change.get("add_dummy_prefix", 0))
    normalizer += _number(4, change.get("remove_extra_whitespaces", 0)) + _number(5, 1)
    path.write_bytes(message + _bytes(2, trainer) + _bytes(3, normalizer))
    return path


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value
