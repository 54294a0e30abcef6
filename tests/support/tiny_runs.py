"""Finished runs without training: tiny random models of both families, with adapters whose B is not zero."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from thinkaloud.checkpoint.files import save
from thinkaloud.config.load import parse_recipe
from thinkaloud.fetch.gguf_header import GGUFHeader
from thinkaloud.model.config import ModelConfig, tiny_config
from thinkaloud.model.lora import TARGETS, Adapter, init_adapter
from thinkaloud.model.random_weights import random_params
from thinkaloud.model.save_hf import save_hf
from thinkaloud.model.weights import load_config
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.prompt.gguf_tokenizer import BYTE, CONTROL, NORMAL, USER_DEFINED, tokenizer_from_gguf
from thinkaloud.prompt.tokenizer import Tokenizer
from thinkaloud.storage.run_directory import RunDir, create

FAMILIES = ("gemma3", "llama")

QUESTIONS = (
    *(f"What is {a} + {b}?" for a, b in zip(range(3, 40), range(911, 948), strict=True)),
    "  leading and trailing spaces  ",
    "Two\n\nparagraphs,\n\tone tab",
    "Zoë's naïve café: 日本語, Ελλάδα, 🙂🙂",
    "def f(x):\n    return x  # comment",
    "I'll say: \"don't\", he's  gone\r\n",
    "Quotes ' and \\ backslashes \\n {{ braces }} {% tags %}",
    "1,234,567.89 %",
    "the thinker thinks the thing then",
    "a",
    "ein zwei drei vier fünf sechs sieben",
    "<b>html & entities</b> &amp;",
    "What rhymes with orange?",
    "Sum up: " + "the cat sat on the mat. " * 6,
)
"""Fifty questions: white space of every kind, digits, code, Unicode, what Jinja and JSON might trip over."""


def bytewise_tokenizer() -> Tokenizer:
    """Gemma's kind on a small scale: SentencePiece BPE with bytes to fall back on."""
    return _tokenizer(bytewise_metadata())


def bytewise_metadata() -> dict[str, Any]:
    """What GGUF holds of that tokenizer, the keys without `tokenizer.ggml.`."""
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    runs = ["\n\n", "  ", "   "]
    singles = sorted(set("abcdefghijklmnopqrstuvwxyzTWFSPYRI0123456789.,?<>/\n:+'-") | {"▁"})
    made = ["th", "▁th", "▁the", "in", "ing", "▁think", "nk", "ink", "th", "er", "on", "▁a", "an", "and", "▁and", "so"]
    made += ["re", "rea", "▁rea", "reason", "son", "ea"]
    made = [piece for piece in dict.fromkeys(made) if len(piece) > 1]
    tokens = [*specials, *(f"<0x{byte:02X}>" for byte in range(256)), *runs, *made, *singles]
    kinds = [CONTROL] * 6 + [BYTE] * 256 + [USER_DEFINED] * 3 + [NORMAL] * (len(made) + len(singles))
    scores = [0.0] * (6 + 256 + 3) + [-float(index) for index in range(len(made) + len(singles))]
    return {
        "model": "llama",
        "tokens": tokens,
        "token_type": kinds,
        "scores": scores,
        "add_space_prefix": False,
        "bos_token_id": 2,
        "eos_token_id": 1,
        "padding_token_id": 0,
        "unknown_token_id": 3,
    }


def byte_level_tokenizer() -> Tokenizer:
    """SmolLM2's kind on a small scale: byte-level BPE that splits digits."""
    from tokenizers import pre_tokenizers

    merges = ["t h", "Ġ th", "Ġth e", "i n", "in g", "n k", "a n", "an d", "r e", "s o", "so n", "1 2", "Ċ Ċ", "' t"]
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*specials, *letters, *(merge.replace(" ", "") for merge in merges)]
    return _tokenizer(
        {
            "model": "gpt2",
            "pre": "smollm",
            "tokens": tokens,
            "token_type": [CONTROL] * 3 + [NORMAL] * (len(tokens) - 3),
            "merges": merges,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "padding_token_id": 2,
            "unknown_token_id": 0,
        }
    )


def _tokenizer(fields: dict[str, Any]) -> Tokenizer:
    metadata = {f"tokenizer.ggml.{key}": value for key, value in fields.items()}
    return Tokenizer(*tokenizer_from_gguf(GGUFHeader(Path("tiny"), metadata, {}, 0)))


def tiny_model_config(family: str, vocab_size: int) -> ModelConfig:
    """Gemma 3 (sliding layers, a global one) or Llama (grouped queries), rows of a multiple of 32."""
    gemma = replace(tiny_config(), vocab_size=vocab_size, num_layers=6, sliding_layers=(True,) * 5 + (False,))
    if family == "gemma3":
        return gemma
    return replace(
        gemma,
        family="llama",
        num_layers=3,
        sliding_layers=(False,) * 3,
        num_kv_heads=2,
        sliding_window=None,
        rope_theta=100_000.0,
        rope_local_theta=None,
        embedding_scale=1.0,
        activation="silu",
        norm_plus_one=False,
        sandwich_norms=False,
        qk_norm=False,
    )


def make_base(family: str, folder: Path) -> Path:
    """A random model in Hugging Face's layout, its norms not all alike."""
    tokenizer = bytewise_tokenizer() if family == "gemma3" else byte_level_tokenizer()
    config = tiny_model_config(family, tokenizer.vocab_size)
    params = random_params(config, seed=3)
    rng = np.random.default_rng(5)
    for name, array in params["layers"].items():
        if name.endswith("norm"):
            array += rng.normal(0.0, 0.1, array.shape).astype(np.float32)
    save_hf(config, params, tokenizer.files(), folder)
    return folder


def make_adapter(config: ModelConfig, rank: int, targets: tuple[str, ...]) -> Adapter:
    """An adapter that changes every logit: B is as large as A."""
    adapter = init_adapter(config, rank, targets, seed=1)
    rng = np.random.default_rng(7)
    return jax.tree.map(
        lambda leaf: np.asarray(leaf) if leaf.any() else rng.normal(0.0, 0.2, leaf.shape).astype(np.float32), adapter
    )


def make_run(
    folder: Path,
    source: str,
    *,
    frame: str = "auto",
    rank: int = 3,
    alpha: float = 5.0,
    begun_from: Path | None = None,
    targets: tuple[str, ...] = TARGETS,
) -> Path:
    """A run directory as `thinkaloud train` leaves it: recipe, contract, trained adapter, evaluation."""
    model = {"source": source, "frame": frame, "dtype": "float32"}
    recipe = parse_recipe(
        {
            "name": "tiny-run",
            "model": model | ({"adapter": str(begun_from)} if begun_from else {}),
            "lora": {"rank": rank, "alpha": alpha, "targets": list(targets)},
            "rollout": {"max_prompt_tokens": 1200, "max_new_tokens": 24},
        }
    )
    run = create(folder, "", recipe.resolved())
    files, contract = open_contract(recipe)
    contract.save(run.contract)
    adapter = make_adapter(load_config(files), rank, recipe.lora.targets)
    save(run.checkpoints, "grpo", 4, jax.tree.map(jax.numpy.asarray, adapter), None)
    write_evaluation(run)
    return folder


def write_evaluation(run: RunDir) -> None:
    rates = {"n": 10, "format_rate": 0.9, "format_interval": [0.6, 0.98], "accuracy": 0.5, "mean_reward": 0.61}
    stage = {"overall": rates, "domains": {"math": rates}}
    (run.evaluation / "summary.json").write_text(
        json.dumps(
            {
                "split": "test",
                "stages": {"base": stage, "trained": stage},
                "headline": {"after": "trained", "sentence": "No difference is shown."},
            }
        ),
        encoding="utf-8",
    )
