"""The tokenizer as GGUF metadata: the inverse of `prompt/gguf_tokenizer.py`.

A base from a GGUF file keeps its tokenizer's keys. For a `tokenizer.json` the keys are derived and read back: a
tokenizer that does not survive the round trip is rejected, because llama.cpp would tokenize text differently than
training did.

Source: llama.cpp's `convert_hf_to_gguf.py` (`_set_vocab_gpt2`, `_set_vocab_sentencepiece`, padding tokens).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from thinkaloud.errors import UserError
from thinkaloud.export.bundle import Bundle
from thinkaloud.fetch.gguf_header import GGUFHeader, read_gguf_header
from thinkaloud.prompt.gguf_tokenizer import (
    BYTE,
    CONTROL,
    NORMAL,
    PATTERNS,
    SPACE,
    USER_DEFINED,
    tokenizer_from_gguf,
)

UNUSED = 5
"""The type of padding tokens."""

_COPIED = (
    *("model", "pre", "tokens", "scores", "token_type", "merges", "add_space_prefix", "add_bos_token", "add_eos_token"),
    *("bos_token_id", "eos_token_id", "padding_token_id", "unknown_token_id"),
)


def vocabulary_metadata(bundle: Bundle) -> dict[str, Any]:
    """Every `tokenizer.*` key: tokens, how text is split into them, special tokens, chat template.

    Raises:
        UserError: GGUF cannot represent this tokenizer.
    """
    if bundle.files.kind == "gguf":
        stored = read_gguf_header(bundle.files.weights[0]).metadata
        found = {key: stored[f"tokenizer.ggml.{key}"] for key in _COPIED if f"tokenizer.ggml.{key}" in stored}
    else:
        content = json.loads(bundle.tokenizer_files["tokenizer.json"])
        found = _derived(bundle, content)
        _require_same(bundle, content, found)
    _fit(found, bundle.config.vocab_size)
    turn, *others = bundle.contract.stop_ids
    found |= {"eot_token_id": turn}
    if turn == found.get("eos_token_id") and others:  # llama.cpp stops at either
        found["eot_token_id"] = others[0]
    keys = {f"tokenizer.ggml.{key}": value for key, value in found.items()}
    return keys | {"tokenizer.chat_template": bundle.contract.chat_template()}


def _derived(bundle: Bundle, content: dict[str, Any]) -> dict[str, Any]:
    """The keys derived from a `tokenizer.json`."""
    model = content["model"]
    if model.get("type") != "BPE":
        raise UserError(
            f"a tokenizer of type {model.get('type')} cannot be exported to GGUF; export hf, and use llama.cpp's"
        )
    pieces = {index: token for token, index in model["vocab"].items()}
    pieces |= {token["id"]: token["content"] for token in content["added_tokens"]}
    if sorted(pieces) != list(range(len(pieces))):
        raise UserError("the tokenizer's ids have gaps, which GGUF cannot represent; export hf instead")
    special = {token["id"]: token["special"] for token in content["added_tokens"]}
    bytewise = bool(model.get("byte_fallback"))
    kinds = []
    for index in range(len(pieces)):
        if index in special:
            kinds.append(CONTROL if special[index] else USER_DEFINED)
        else:
            kinds.append(BYTE if bytewise and _is_byte(pieces[index]) else NORMAL)
    merges = [tuple(merge.split(" ", 1)) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    found: dict[str, Any] = {}
    if bytewise:
        found |= {"model": "llama", "pre": "default", "add_space_prefix": False}
        found["scores"] = _scores(pieces, kinds, merges)
    else:
        found |= {"model": "gpt2", "pre": _word_rule(content), "merges": [" ".join(merge) for merge in merges]}
    found["tokens"] = [
        pieces[index].replace(SPACE, " ") if kind == USER_DEFINED and not pieces[index].strip(SPACE) else pieces[index]
        for index, kind in enumerate(kinds)
    ]
    found["token_type"] = kinds
    names = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
    found |= {f"{names[role]}_token_id": index for role, index in bundle.special_ids.items()}
    opens_with_bos = "bos" in bundle.special_ids and bundle.contract.template.preamble.startswith(
        pieces[bundle.special_ids["bos"]]
    )
    return found | {"add_bos_token": bool(bytewise and opens_with_bos), "add_eos_token": False}


def _scores(pieces: dict[int, str], kinds: list[int], merges: list[tuple[str, ...]]) -> list[float]:
    """Scores in the order of the merge table: the earlier a piece is first merged, the higher."""
    order: dict[str, int] = {}
    for merge in merges:
        order.setdefault("".join(merge), len(order))
    return [
        -float(order.get(pieces[index], len(order))) if kind in (NORMAL, USER_DEFINED) else 0.0
        for index, kind in enumerate(kinds)
    ]


def _word_rule(content: dict[str, Any]) -> str:
    """GGUF's name for the tokenizer's pre-tokenization."""
    found = _rule(content)
    for name in PATTERNS:
        known = json.loads(_byte_level_backend(name).to_str())
        if _rule(known) == found:
            return name
    raise UserError("the tokenizer's pre-tokenization has no known GGUF name; export hf instead")


def _byte_level_backend(name: str) -> Any:
    metadata: dict[str, Any] = {"model": "gpt2", "pre": name, "tokens": ["a"], "token_type": [NORMAL], "merges": []}
    return tokenizer_from_gguf(_header(metadata))[0]


def _rule(content: dict[str, Any]) -> list[Any]:
    """What determines word boundaries: the normalizer's type, and each pre-tokenizer's type with its settings."""
    outer = content.get("pre_tokenizer") or {}
    steps = outer.get("pretokenizers", [outer])
    rules: list[Any] = [(content.get("normalizer") or {}).get("type")]
    for step in steps:
        settings = {key: step.get(key) for key in ("add_prefix_space", "use_regex", "individual_digits", "behavior")}
        rules.append((step.get("type"), step.get("pattern"), settings))
    return rules


def _require_same(bundle: Bundle, content: dict[str, Any], found: dict[str, Any]) -> None:
    """Raise UserError unless reading the keys back gives the same merges and the same ids for the probes."""
    from thinkaloud.prompt.tokenizer import Tokenizer

    backend, config = tokenizer_from_gguf(_header(found))
    again = Tokenizer(backend, config)

    def merges(table: dict[str, Any]) -> list[tuple[str, ...]]:
        listed = table["model"]["merges"]
        return [tuple(merge.split(" ", 1)) if isinstance(merge, str) else tuple(merge) for merge in listed]

    same = merges(json.loads(backend.to_str())) == merges(content)
    for probe in bundle.contract.record()["probes"]:
        same &= again.encode_plain(probe["question"]) == bundle.tokenizer.encode_plain(probe["question"])
        same &= again.encode(probe["prompt"]) == bundle.tokenizer.encode(probe["prompt"])
    if not same:
        raise UserError("the tokenizer does not survive conversion to GGUF; export hf instead")


def _fit(found: dict[str, Any], rows: int) -> None:
    """Pad the tokens with unused ones, or cut them, to the number of the embedding's rows."""
    tokens = found["tokens"]
    missing = range(len(tokens), rows)
    fillers: dict[str, list[Any]] = {
        "tokens": [f"[PAD{index}]" for index in missing],
        "token_type": [UNUSED] * len(missing),
    }
    fillers["scores"] = [-10_000.0] * len(missing)
    for key, filler in fillers.items():
        if key in found:
            found[key] = [*found[key][:rows], *filler]


def _header(found: dict[str, Any]) -> GGUFHeader:
    metadata = {f"tokenizer.ggml.{key}": value for key, value in found.items()}
    return GGUFHeader(path=Path("the export"), metadata=metadata, tensors={}, file_size=0)


def _is_byte(piece: str) -> bool:
    return len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">")
