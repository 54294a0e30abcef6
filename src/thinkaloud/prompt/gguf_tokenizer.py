"""A `tokenizer.json` rebuilt from the metadata of a GGUF file.

Two kinds are supported. `gpt2` is byte-level BPE: the file holds its merges, and `tokenizer.ggml.pre` names its word
pattern. `llama` is SentencePiece BPE, with scores instead of merges: every pair of pieces whose concatenation is a
piece can merge, higher scores first. Only the order of merges matters; they are listed in the order of transformers'
converter, which yields the same table.

Source: llama.cpp's `src/llama-vocab.cpp` (pre-tokenizers by name, token types); transformers'
`convert_slow_tokenizer.py` (`generate_merges`, `GemmaConverter`). Gemma's ids are checked against the `sentencepiece`
library (`scripts/make_goldens.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thinkaloud.errors import UserError, nearest
from thinkaloud.fetch.gguf_header import GGUFHeader

if TYPE_CHECKING:
    import tokenizers

NORMAL, CONTROL, USER_DEFINED, BYTE = 1, 3, 4, 6
"""Values of `tokenizer.ggml.token_type` that are used here."""

SPACE = "▁"

LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2_PATTERN = LLAMA3_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")
PATTERNS = {"smollm": None, "gpt-2": None, "llama-bpe": LLAMA3_PATTERN, "qwen2": QWEN2_PATTERN}
"""Word patterns by `tokenizer.ggml.pre`; None is GPT-2's, which is built into the library."""


def tokenizer_from_gguf(header: GGUFHeader) -> tuple[tokenizers.Tokenizer, dict[str, Any]]:
    """The tokenizer of a GGUF file, and the fields of its `tokenizer_config.json`.

    Raises:
        UserError: The kind of tokenizer is not supported, or its metadata is incomplete.
    """
    from tokenizers import AddedToken

    tokens, kinds = _list(header, "tokens", str), _list(header, "token_type", int)
    if len(kinds) != len(tokens):
        raise UserError(f"{header.path}: {len(tokens)} tokens but {len(kinds)} token types; fetch the model again")
    model = header.metadata.get("tokenizer.ggml.model")
    if model == "gpt2":
        tokenizer = _byte_level(header, tokens)
    elif model == "llama":
        tokens = [
            SPACE * len(t) if k == USER_DEFINED and t.strip(" ") == "" else t
            for t, k in zip(tokens, kinds, strict=True)
        ]
        tokenizer = _sentencepiece(header, tokens, kinds)
    else:
        raise UserError(f"{header.path}: tokenizer {model!r} is not supported{nearest(str(model), ['gpt2', 'llama'])}")
    added = {
        CONTROL: [
            AddedToken(t, special=True, normalized=False) for t, k in zip(tokens, kinds, strict=True) if k == CONTROL
        ],
        USER_DEFINED: [
            AddedToken(t, normalized=False) for t, k in zip(tokens, kinds, strict=True) if k == USER_DEFINED
        ],
    }
    tokenizer.add_special_tokens(added[CONTROL])
    tokenizer.add_tokens(added[USER_DEFINED])
    if tokenizer.get_vocab_size() != len(tokens):
        raise UserError(f"{header.path}: {len(tokens)} tokens are not distinct; fetch the model again")
    return tokenizer, _config(header, tokens)


def _byte_level(header: GGUFHeader, tokens: list[str]) -> tokenizers.Tokenizer:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    name = str(header.metadata.get("tokenizer.ggml.pre"))
    if name not in PATTERNS:
        raise UserError(f"{header.path}: pre-tokenizer {name!r} is not supported{nearest(name, PATTERNS)}")
    merges = [tuple(merge.split(" ")) for merge in _list(header, "merges", str)]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(_bpe(header, models, vocab=vocabulary, merges=merges, ignore_merges=name == "llama-bpe"))
    if (pattern := PATTERNS[name]) is None:
        words: list[Any] = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
        if name == "smollm":
            words.insert(0, pre_tokenizers.Digits(individual_digits=True))
    else:
        words = [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(words)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _sentencepiece(header: GGUFHeader, tokens: list[str], kinds: list[int]) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers

    if header.metadata.get("tokenizer.ggml.add_space_prefix", True):
        raise UserError(f"{header.path}: a SentencePiece tokenizer that puts a space before the text is not supported")
    scores = _list(header, "scores", float)
    unknown = header.metadata.get("tokenizer.ggml.unknown_token_id")
    if len(scores) != len(tokens) or not isinstance(unknown, int) or not 0 <= unknown < len(tokens):
        raise UserError(f"{header.path}: {len(tokens)} tokens but {len(scores)} scores, unknown token {unknown!r}")
    tokenizer = Tokenizer(
        _bpe(
            header,
            models,
            vocab={token: index for index, token in enumerate(tokens)},
            merges=merges_from_scores(tokens, scores, kinds),
            unk_token=tokens[unknown],
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Replace(" ", SPACE)
    tokenizer.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


def merges_from_scores(tokens: list[str], scores: list[float], kinds: list[int]) -> list[tuple[str, str]]:
    """All pairs of pieces whose concatenation is a piece, ordered by the score of that piece, highest first.

    Control and byte tokens are excluded: text never merges into them. Runs of white space that are user-defined tokens
    come first, because SentencePiece extracts them before it merges.
    """
    ids = {
        token: index
        for index, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind == NORMAL or (kind == USER_DEFINED and not token.strip("\n\t" + SPACE))
    }
    found: list[tuple[float, int, int, str, str]] = []
    for token, index in ids.items():
        score = scores[index] if kinds[index] == NORMAL else float("inf")
        splits = []
        for cut in range(1, len(token)):
            left, right = ids.get(token[:cut]), ids.get(token[cut:])
            if left is not None and right is not None:
                splits.append((left, right, cut))
        for _, _, cut in sorted(splits):
            found.append((score, cut, len(token) - cut, token[:cut], token[cut:]))
    found.sort(key=lambda merge: merge[:3], reverse=True)
    return [merge[3:] for merge in found]


def _bpe(header: GGUFHeader, models: Any, **arguments: Any) -> Any:
    try:
        return models.BPE(**arguments)
    except Exception as error:  # the library raises a bare Exception for a merge that is not in the vocabulary
        raise UserError(f"{header.path}: its tokenizer is incomplete ({error}); fetch the model again") from error


def _config(header: GGUFHeader, tokens: list[str]) -> dict[str, Any]:
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    for role, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown")):
        index = header.metadata.get(f"tokenizer.ggml.{key}_token_id")
        if isinstance(index, int) and 0 <= index < len(tokens):
            config[f"{role}_token"] = tokens[index]
    template = header.metadata.get("tokenizer.chat_template")
    if isinstance(template, str):
        config["chat_template"] = template
    return config


def _list(header: GGUFHeader, name: str, kind: type) -> list[Any]:
    values = header.metadata.get(f"tokenizer.ggml.{name}")
    if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
        raise UserError(f"{header.path}: expected a list of {kind.__name__} in tokenizer.ggml.{name}; fetch it again")
    return values
