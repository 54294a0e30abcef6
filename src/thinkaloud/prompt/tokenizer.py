"""Text to token ids and back, with nothing added: no begin-of-sequence token, no clean-up of spaces.

There are two ways to encode. `encode` turns special tokens written in the text into their ids; it is for text that the
program writes, such as chat templates. `encode_plain` never does; it is for other text, so that a task's question
cannot close its turn. The tokenizer comes from the model's `tokenizer.json`, or is rebuilt from GGUF metadata.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkaloud.errors import UserError
from thinkaloud.fetch.models import ModelFiles, models_cache
from thinkaloud.storage.atomic import write_text
from thinkaloud.storage.unicode import well_formed

if TYPE_CHECKING:
    import tokenizers

CACHE_VERSION = 1
"""Incremented when `gguf_tokenizer` builds another table from the same file."""

BYTE_SPECIALS = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>")


class Tokenizer:
    """A tokenizer of the `tokenizers` library with the settings of its model.

    Args:
        backend: The library's tokenizer.
        config: The fields of `tokenizer_config.json`: special tokens by role, chat template.
        identity_file: Cache of the identity, which takes a second to compute for large vocabularies.
    """

    def __init__(
        self, backend: tokenizers.Tokenizer, config: dict[str, Any], identity_file: Path | None = None
    ) -> None:
        from tokenizers import AddedToken, Tokenizer

        self._backend = backend
        self._config = config
        self._identity_file = identity_file
        backend.no_padding()
        backend.no_truncation()
        named = [self._named(role) for role in ("bos", "eos", "pad", "unk")]
        known = [
            AddedToken(token, special=True, normalized=False)
            for token in named
            if token and self.token_id(token) is not None
        ]
        backend.add_special_tokens(known)
        self._plain = Tokenizer(backend.model)  # shares the model; knows no special tokens
        for part in ("normalizer", "pre_tokenizer", "decoder"):
            if (value := getattr(backend, part)) is not None:
                setattr(self._plain, part, value)
        added = backend.get_added_tokens_decoder()
        self._plain.add_tokens([token for _, token in sorted(added.items()) if not token.special])
        self._special = {index: token.content for index, token in added.items() if token.special}

    def encode(self, text: str) -> list[int]:
        """Token ids; special tokens written in the text become their ids, and nothing is added.

        Bytes missing from the vocabulary are dropped, as in transformers: SmolLM2's has no 0x04 or 0x06, for example.
        """
        return list(self._backend.encode(well_formed(text), add_special_tokens=False).ids)

    def encode_plain(self, text: str) -> list[int]:
        """Token ids of text that may not contain special tokens: their names are encoded as ordinary text."""
        ids = list(self._plain.encode(well_formed(text), add_special_tokens=False).ids)
        assert self._special.keys().isdisjoint(ids), "plain text was encoded to a special token"
        return ids

    def decode(self, ids: Sequence[int], *, keep_special: bool = False) -> str:
        """The text of token ids; invalid UTF-8 becomes U+FFFD, ids outside the vocabulary are skipped."""
        return str(self._backend.decode(list(ids), skip_special_tokens=not keep_special))

    def token_id(self, text: str) -> int | None:
        """The id of a token with exactly this content, or None."""
        index = self._backend.token_to_id(text)
        return None if index is None else int(index)

    @property
    def vocab_size(self) -> int:
        """The number of tokens, added tokens included; the model's embedding may have more rows."""
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    @property
    def bos(self) -> str | None:
        """The begin-of-sequence token."""
        return self._named("bos")

    @property
    def eos(self) -> str | None:
        """The end-of-sequence token."""
        return self._named("eos")

    @property
    def pad(self) -> str | None:
        """The padding token."""
        return self._named("pad")

    @property
    def special_ids(self) -> frozenset[int]:
        """Ids that `encode_plain` never returns and `decode` omits."""
        return frozenset(self._special)

    @property
    def chat_template(self) -> str | None:
        """The model's Jinja template, or None."""
        template = self._config.get("chat_template")
        if isinstance(template, list):  # named templates: the default one
            template = next((item["template"] for item in template if item.get("name") == "default"), None)
        return template if isinstance(template, str) else None

    @cached_property
    def identity(self) -> str:
        """SHA-256 (hex) over everything that determines the ids: vocabulary, merges, added tokens, normalizer, decoder.

        A tokenizer has the same identity whether it comes from a GGUF file, a `tokenizer.json`, or an export.
        """
        if self._identity_file is not None:
            with contextlib.suppress(OSError):
                if len(found := self._identity_file.read_text("ascii").strip()) == 64:
                    return found
        content = json.loads(self._backend.to_str())
        parts = {key: content.get(key) for key in ("normalizer", "pre_tokenizer", "decoder", "model", "added_tokens")}
        canonical = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        identity = hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
        if self._identity_file is not None:
            _keep(self._identity_file, identity)
        return identity

    def files(self, *, chat_template: str | None = None) -> dict[str, str]:
        """The tokenizer files for transformers, text by name; `chat_template` replaces the model's own."""
        config = dict(self._config)
        if chat_template is not None:
            config["chat_template"] = chat_template
        return {
            "tokenizer.json": self._backend.to_str(pretty=True),
            "tokenizer_config.json": json.dumps(config, indent=2, ensure_ascii=False) + "\n",
        }

    def _named(self, role: str) -> str | None:
        token = self._config.get(f"{role}_token")
        if isinstance(token, dict):
            token = token.get("content")
        return token if isinstance(token, str) else None


def load_tokenizer(files: ModelFiles) -> Tokenizer:
    """The tokenizer of a model; a tokenizer rebuilt from GGUF is cached.

    Raises:
        UserError: There is no tokenizer, or it is damaged or of an unknown kind.
    """
    if files.kind == "tiny":
        return byte_tokenizer()
    if files.kind == "hf":
        assert files.directory is not None
        return _from_directory(files.directory)
    path = files.weights[0]
    if files.sha256 is not None:
        kept = path.parent / f"tokenizer-v{CACHE_VERSION}"
    else:
        status = path.stat()
        key = hashlib.sha256(f"{path}\n{status.st_size}\n{status.st_mtime_ns}\n{CACHE_VERSION}".encode()).hexdigest()
        kept = models_cache() / "tokenizers" / key[:32]
    if (kept / "tokenizer_config.json").is_file():
        with contextlib.suppress(UserError):  # damaged: rebuilt below
            return _from_directory(kept)
    from thinkaloud.fetch.gguf_header import read_gguf_header
    from thinkaloud.prompt.gguf_tokenizer import tokenizer_from_gguf

    backend, config = tokenizer_from_gguf(read_gguf_header(path))
    text = _compact(backend)
    _keep(kept / "tokenizer.json", text)
    _keep(kept / "tokenizer_config.json", json.dumps(config, ensure_ascii=False))
    return Tokenizer(backend, config, _identity_file(text.encode("utf-8")))


def byte_tokenizer() -> Tokenizer:
    """The tokenizer of the tiny model: ids 0 to 4 are `BYTE_SPECIALS`, id 5 + b is byte b of the UTF-8 text."""
    from tokenizers import AddedToken, decoders, models
    from tokenizers import Tokenizer as Backend

    names = [*BYTE_SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256))]
    vocabulary = {name: index for index, name in enumerate(names)}
    backend = Backend(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True))
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    backend.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in BYTE_SPECIALS])
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "pad_token": "<pad>",
        "eos_token": "<eos>",
        "bos_token": "<bos>",
    }
    return Tokenizer(backend, config)


def _from_directory(directory: Path) -> Tokenizer:
    """`tokenizer.json`, with `tokenizer_config.json` and `chat_template.jinja` if they exist."""
    from tokenizers import Tokenizer as Backend

    path = directory / "tokenizer.json"
    if not path.is_file():
        raise UserError(
            f"{directory}: expected tokenizer.json; create it with transformers: "
            "AutoTokenizer.from_pretrained(...).save_pretrained(...)"
        )
    content = path.read_bytes()
    try:
        backend = Backend.from_str(content.decode("utf-8"))
    except Exception as error:  # the library raises a bare Exception
        raise UserError(f"{path} is not a tokenizer: {str(error)[:200]}; fetch the model again") from error
    config: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (directory / name).is_file():
            try:
                config.update(json.loads((directory / name).read_text("utf-8")))
            except (ValueError, TypeError) as error:
                raise UserError(f"{directory / name} is not a JSON object: {error}; fetch the model again") from error
    if (template := directory / "chat_template.jinja").is_file():
        config["chat_template"] = template.read_text("utf-8")
    return Tokenizer(backend, config, _identity_file(content))


def _compact(backend: tokenizers.Tokenizer) -> str:
    """`tokenizer.json` without white space and with merges as strings: a third of the size, and faster to load."""
    content = json.loads(backend.to_str())
    merges = content["model"]["merges"]
    if not any(" " in piece for merge in merges for piece in merge):
        content["model"]["merges"] = [" ".join(merge) for merge in merges]
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _identity_file(content: bytes) -> Path:
    return models_cache() / "tokenizers" / f"{hashlib.sha256(content).hexdigest()[:32]}.identity"


def _keep(path: Path, text: str) -> None:
    """Write a cache file; if the cache cannot be written, the next load is slower."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
