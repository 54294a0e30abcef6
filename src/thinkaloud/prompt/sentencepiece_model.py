"""Gemma's `tokenizer.model`, the file that SentencePiece writes, as the metadata that a GGUF file would hold.

That file is one protobuf message. The few fields that matter are described here, so that the `protobuf` package alone
reads it; `gguf_tokenizer` builds the tokenizer, as it does for a GGUF file of the same model, with the same identity.

Source: SentencePiece's `sentencepiece_model.proto`; llama.cpp's `convert_hf_to_gguf.py` (which pieces are for control).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from thinkaloud.errors import UserError
from thinkaloud.fetch.gguf_header import GGUFHeader
from thinkaloud.prompt.gguf_tokenizer import CONTROL, SPACE, USER_DEFINED

BPE, UNKNOWN = 2, 2
"""`TrainerSpec.ModelType.BPE`, `SentencePiece.Type.UNKNOWN`; the other types are numbered as GGUF numbers them."""

_CONTROL = re.compile(r"<(unused\d+|start_of_turn|end_of_turn|mask)>")
"""What Gemma's file declares as the user's own pieces, so that they can be written in a text, and its releases as
special tokens."""

_FIELDS: dict[str, list[tuple[int, str, str, str | None]]] = {
    "Piece": [(1, "piece", "STRING", None), (2, "score", "FLOAT", None), (3, "type", "INT32", "1")],
    "Trainer": [
        (3, "model_type", "INT32", "1"),
        (35, "byte_fallback", "BOOL", None),
        (40, "unk_id", "INT32", "0"),
        (41, "bos_id", "INT32", "1"),
        (42, "eos_id", "INT32", "2"),
        (43, "pad_id", "INT32", "-1"),
    ],
    "Normalizer": [
        (2, "precompiled_charsmap", "BYTES", None),
        (3, "add_dummy_prefix", "BOOL", "true"),
        (4, "remove_extra_whitespaces", "BOOL", "true"),
    ],
    "Model": [
        (1, "pieces", "Piece", None),
        (2, "trainer_spec", "Trainer", None),
        (3, "normalizer_spec", "Normalizer", None),
    ],
}
"""Messages, each field as (number, name, type, default); enumerations are read as the numbers they are."""


def read_sentencepiece(path: Path) -> GGUFHeader:
    """The metadata `tokenizer.ggml.*` of a `tokenizer.model`.

    Raises:
        UserError: the file is damaged, or of a kind that Gemma's is not.
    """
    from google.protobuf.message import DecodeError

    model = _message()()
    try:
        model.ParseFromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise UserError(f"{path} is not a SentencePiece model: {error}; fetch it again") from error
    if not model.pieces:
        raise UserError(f"{path} is not a SentencePiece model: it has no pieces; fetch it again")
    trainer, normalizer = model.trainer_spec, model.normalizer_spec
    if trainer.model_type != BPE or not trainer.byte_fallback:
        raise UserError(f"{path}: expected byte pairs with bytes to fall back on, as Gemma has, found another kind")
    if normalizer.precompiled_charsmap or normalizer.remove_extra_whitespaces:
        raise UserError(f"{path}: expected a tokenizer that leaves the text as it is, as Gemma's does, found another")
    fields = {
        "model": "llama",
        "tokens": [
            piece.piece.replace(SPACE, " ")
            if piece.type == USER_DEFINED and not piece.piece.strip(SPACE)
            else piece.piece
            for piece in model.pieces
        ],
        "token_type": [
            CONTROL if piece.type == UNKNOWN or _CONTROL.fullmatch(piece.piece) else piece.type
            for piece in model.pieces
        ],
        "scores": [piece.score for piece in model.pieces],
        "add_space_prefix": normalizer.add_dummy_prefix,
        "bos_token_id": trainer.bos_id,
        "eos_token_id": trainer.eos_id,
        "padding_token_id": trainer.pad_id,
        "unknown_token_id": trainer.unk_id,
    }
    metadata = {f"tokenizer.ggml.{key}": value for key, value in fields.items()}
    return GGUFHeader(path=path, metadata=metadata, tensors={}, file_size=path.stat().st_size)


@cache
def _message() -> Any:
    """The class of the message `Model`."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="sentencepiece.proto", package="sentencepiece", syntax="proto2")
    field = descriptor_pb2.FieldDescriptorProto
    for message, fields in _FIELDS.items():
        described = file.message_type.add(name=message)
        for number, name, kind, default in fields:
            label = field.LABEL_REPEATED if name == "pieces" else field.LABEL_OPTIONAL
            added = described.field.add(number=number, name=name, label=label, default_value=default)
            if kind in _FIELDS:
                added.type, added.type_name = field.TYPE_MESSAGE, f".sentencepiece.{kind}"
            else:
                added.type = getattr(field, f"TYPE_{kind}")
    pool = descriptor_pool.DescriptorPool()  # a pool of its own: the sentencepiece library may be loaded as well
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sentencepiece.Model"))
