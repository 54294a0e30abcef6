"""Creates the golden arrays of tests/model/goldens with Hugging Face transformers (eager attention, float32, CPU).

Run it from the repository root, in a separate environment (torch, transformers, gguf, sentencepiece, protobuf, regex):

    PYTHONPATH=src python scripts/make_goldens.py [NAME ...]

Real models are fetched as `thinkaloud` does, and read by transformers' GGUF loader, so that their goldens check this
package's loader and its forward pass.

`tiny-*.npz`: a small random model, weights and logits.
    config          JSON text of config.json
    weight:NAME     float16, the tensor NAME of model.safetensors (exact in float32, the dtype of the run)
    tokens          int32 [rows, length]
    logits          float32 [rows, length, vocabulary]

`smollm2-135m.npz`, `gemma3-270m.npz`: a real model; for SET in `short` (a prompt) and `long` (beyond the window):
    SET:tokens      int32 [length]
    SET:argmax      int32 [length], at every position
    SET:positions   int32 [P], the positions of the following arrays
    SET:top_ids     int32 [P, 64], the most likely tokens, best first
    SET:top_logits  float32 [P, 64]
    SET:ids         int32 [64], a fixed random subset of the vocabulary
    SET:logits      float32 [P, 64], the logits of `ids`
    SET:lse         float32 [P], log-sum-exp over the vocabulary

`tokenizers.json`: [text, ids] pairs of each real model. Gemma's ids come from the sentencepiece library on a model file
rebuilt from the GGUF pieces and scores; SmolLM2's from GPT-2's published algorithm (its encoder.py) after splitting at
each digit.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

GOLDENS = Path(__file__).parents[1] / "tests" / "model" / "goldens"

SIZES = {
    "vocab_size": 64,
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
}
GEMMA = {
    **SIZES,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "sliding_window": 6,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    "query_pre_attn_scalar": 24,
    "hidden_activation": "gelu_pytorch_tanh",
    "rms_norm_eps": 1e-6,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
TINY: dict[str, tuple[str, dict[str, Any]]] = {
    "tiny-gemma3": ("Gemma3", GEMMA),
    "tiny-gemma3-linear": (
        "Gemma3",
        {
            **GEMMA,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        },
    ),
    "tiny-llama": ("Llama", {**SIZES, "tie_word_embeddings": True, "rms_norm_eps": 1e-5}),
    "tiny-llama3": ("Llama", {**SIZES, "head_dim": 16, "tie_word_embeddings": False, "rope_parameters": LLAMA3_ROPE}),
    "tiny-qwen2": ("Qwen2", {**SIZES, "tie_word_embeddings": True}),
    "tiny-qwen2-window": (
        "Qwen2",
        {
            **SIZES,
            "tie_word_embeddings": False,
            "use_sliding_window": True,
            "sliding_window": 6,
            "max_window_layers": 2,
        },
    ),
    "tiny-qwen3": ("Qwen3", {**SIZES, "head_dim": 16, "tie_word_embeddings": False}),
}
REAL = ("smollm2-135m", "gemma3-270m")

TEXTS = [
    "Hello, world!",
    "Natalia sold 48 clips in April, and 12,345.67 in May.",
    "  leading, trailing and   inner    spaces  ",
    "tabs\tand\n\nline\n\n\nfeeds\r\nof every kind \n ",
    "def f(x):\n    return x ** 2  # squares\n\n\n\nprint(f(3))",
    "Zoë's naïve café: 日本語, Ελλάδα, кириллица, العربية",
    "🙂🙂👩‍👩‍👧 𝔹 ​zero width",
    "<reasoning>3 + 4 = 7</reasoning>\n<answer>7</answer>",
    "don't you'll WE'RE I'd it's",
    "x" * 70 + " " * 40 + "y" + "\n" * 35 + "z",
    "$\\frac{1}{2}$ + 50% = 100¢; a_b-c/d\\e|f~g`h^i",
    "\x00\x01 control \x7f and unassigned \u0378 �",
]


def tiny(name: str) -> None:
    import torch
    import transformers

    family, fields = TINY[name]
    config = getattr(transformers, f"{family}TextConfig" if family == "Gemma3" else f"{family}Config")(**fields)
    config._attn_implementation = "eager"
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    generator = np.random.default_rng(sum(name.encode()))
    weights: dict[str, np.ndarray] = {}
    for key, tensor in model.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        noise = generator.standard_normal(tuple(tensor.shape))
        if key.endswith("norm.weight"):
            value = 0.3 * noise + (0.0 if family == "Gemma3" else 1.0)
        else:
            value = noise * tensor.shape[-1] ** -0.5 * (0.5 if key.endswith("bias") else 1.5)
        weights[key] = value.astype(np.float16)
    state = {key: torch.from_numpy(value.astype(np.float32)) for key, value in weights.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected, unexpected
    assert set(missing) <= {"lm_head.weight"}, missing
    model.tie_weights()
    tokens = generator.integers(0, SIZES["vocab_size"], (2, 32))
    with torch.no_grad():
        logits = model(torch.from_numpy(tokens)).logits.numpy()
    save(
        name,
        {"config": np.array(json.dumps(config.to_dict()))}
        | {f"weight:{key}": value for key, value in weights.items()}
        | {"tokens": tokens.astype(np.int32), "logits": logits},
    )


def real(name: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from thinkaloud.fetch.models import resolve_model
    from thinkaloud.model.hf_config import read_hf_config
    from thinkaloud.model.layout import parameters
    from thinkaloud.model.weights import load_checkpoint
    from thinkaloud.prompt.tokenizer import load_tokenizer

    files = resolve_model(name, progress=print)
    tokenizer = load_tokenizer(files)
    path = files.weights[0]
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    ours, params = load_checkpoint(files)
    fields = model.config.to_dict()
    del fields["quantization_config"]  # of the file: transformers dequantizes it
    theirs = read_hf_config(fields)
    assert replace(theirs, norm_eps=ours.norm_eps) == ours, f"expected {theirs}, found {ours}"
    assert abs(theirs.norm_eps / ours.norm_eps - 1) < 1e-6
    state = model.state_dict()
    for leaf in parameters(ours):
        for layer in range(ours.num_layers) if leaf.stacked else (None,):
            array = params["layers"][leaf.path[1]][layer] if leaf.stacked else params[leaf.path[0]]
            reference = state[leaf.hf.format(layer)].numpy()
            difference = np.abs((array.T if leaf.transposed else array) - reference).max()
            assert difference < 1e-6, f"{leaf.hf.format(layer)} differs by {difference}"
    print(f"{name}: configuration and weights equal those of transformers")
    turn = {"smollm2": ("<|im_start|>", "<|im_end|>"), "gemma": ("<start_of_turn>", "<end_of_turn>")}[
        files.chat_template
    ]
    question = "Natalia sold 48 clips in April, and half as many in May. How many clips did she sell altogether?"
    short = f"{turn[0]}user\n{question}{turn[1]}\n{turn[0]}assistant\nShe sold"
    lines = [f"{n}. The square of {n} is {n * n}, and its cube is {n**3}; half of it is {n / 2}." for n in range(1, 60)]
    bos = [tokenizer.token_id("<bos>")] if files.chat_template == "gemma" else []
    arrays: dict[str, np.ndarray] = {}
    generator = np.random.default_rng(0)
    for key, ids in (
        ("short", [*bos, *tokenizer.encode(short)]),
        ("long", [*bos, *tokenizer.encode("\n".join(lines))][: 620 if files.chat_template == "gemma" else 320]),
    ):
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0].numpy()
        wanted = [0, 1, 2, len(ids) // 2, 511, 512, 513, 520, 560, len(ids) - 2, len(ids) - 1]
        positions = np.array(sorted({position for position in wanted if position < len(ids)}), np.int32)
        chosen = logits[positions].astype(np.float64)
        top = np.argsort(-chosen, axis=-1, kind="stable")[:, :64].astype(np.int32)
        subset = np.sort(generator.choice(logits.shape[-1], 64, replace=False)).astype(np.int32)
        arrays |= {
            f"{key}:tokens": np.array(ids, np.int32),
            f"{key}:argmax": logits.argmax(-1).astype(np.int32),
            f"{key}:positions": positions,
            f"{key}:top_ids": top,
            f"{key}:top_logits": np.take_along_axis(chosen, top, -1).astype(np.float32),
            f"{key}:ids": subset,
            f"{key}:logits": chosen[:, subset].astype(np.float32),
            f"{key}:lse": np.logaddexp.reduce(chosen, axis=-1).astype(np.float32),
        }
        print(f"{name} {key}: {len(ids)} tokens; next token {tokenizer.decode([int(logits[-1].argmax())])!r}")
    save(name, arrays)


def tokenizers() -> None:
    from thinkaloud.fetch.gguf_header import read_gguf_header
    from thinkaloud.fetch.models import resolve_model

    found: dict[str, list[Any]] = {}
    for name, reference in (("smollm2-135m", gpt2_ids), ("gemma3-270m", sentencepiece_ids)):
        metadata = read_gguf_header(resolve_model(name, progress=print).weights[0]).metadata
        found[name] = list(zip(TEXTS, reference(metadata, TEXTS), strict=True))
    path = GOLDENS / "tokenizers.json"
    path.write_text(json.dumps(found, ensure_ascii=True, indent=1) + "\n", "utf-8")
    print(f"{path.name}: {path.stat().st_size:,} bytes")


def sentencepiece_ids(metadata: dict[str, Any], texts: list[str]) -> list[list[int]]:
    """The ids of the sentencepiece library, with the pieces, scores and types of the GGUF file."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()
    keys = ("tokens", "scores", "token_type")
    for piece, score, kind in zip(*(metadata[f"tokenizer.ggml.{key}"] for key in keys), strict=True):
        is_unknown = piece == "<unk>"
        text = "▁" * len(piece) if kind == 4 and not piece.strip(" ") else piece
        proto.pieces.add(piece=text, score=score, type=2 if is_unknown else kind)
    proto.trainer_spec.model_type = 2
    proto.trainer_spec.byte_fallback = True
    proto.trainer_spec.vocab_size = len(proto.pieces)
    for role, index in (("unk", 3), ("bos", 2), ("eos", 1), ("pad", 0)):
        setattr(proto.trainer_spec, f"{role}_id", index)
    for spec in (proto.normalizer_spec, proto.denormalizer_spec):
        spec.name = "identity"
        spec.add_dummy_prefix = spec.remove_extra_whitespaces = False
    proto.normalizer_spec.escape_whitespaces = True
    with tempfile.NamedTemporaryFile(suffix=".model") as file:
        file.write(proto.SerializeToString())
        file.flush()
        processor = sentencepiece.SentencePieceProcessor(model_file=file.name)
        return [processor.encode(text) for text in texts]


def gpt2_ids(metadata: dict[str, Any], texts: list[str]) -> list[list[int]]:
    """GPT-2's encoder.py in its simplest form, on text split at each digit."""
    import regex

    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    ids = {token: index for index, token in enumerate(metadata["tokenizer.ggml.tokens"])}
    ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(metadata["tokenizer.ggml.merges"])}
    words = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")

    def encode(word: str) -> list[int]:
        parts = [letters[byte] for byte in word.encode()]
        while len(parts) > 1:
            pairs = itertools.pairwise(parts)
            rank, at = min((ranks.get(pair, len(ranks)), n) for n, pair in enumerate(pairs))
            if rank == len(ranks):
                break
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return [ids[part] for part in parts]

    pieces = [[piece for piece in regex.split(r"(\p{N})", text) if piece] for text in texts]
    return [[i for piece in split for word in words.findall(piece) for i in encode(word)] for split in pieces]


def save(name: str, arrays: dict[str, np.ndarray]) -> None:
    path = GOLDENS / f"{name}.npz"
    np.savez_compressed(path, **arrays)
    print(f"{path.name}: {path.stat().st_size:,} bytes")


def main(names: list[str]) -> None:
    GOLDENS.mkdir(parents=True, exist_ok=True)
    for name in names or [*TINY, *REAL, "tokenizers"]:
        if name == "tokenizers":
            tokenizers()
        elif name in TINY:
            tiny(name)
        else:
            real(name)


if __name__ == "__main__":
    main(sys.argv[1:])
