"""The header of a GGUF file: its metadata, and the offsets of its tensors.

The reader of the `gguf` package creates a numpy view of every token string, which takes nine seconds and 700 MB for
Gemma's 262,144 tokens on two cores, and does not check lengths. This one takes a third of a second, needs only the
standard library (so that `fetch` and `prompt` can use it), and checks every length. `gguf` still dequantises the
weights (see `thinkaloud.model.gguf_reader`).

Source: the GGUF specification, version 3 (ggml, docs/gguf.md); versions 2 and 3 are read, little-endian.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkaloud.errors import UserError

MAGIC = b"GGUF"

STRING, ARRAY, BOOL = 8, 9, 7
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}
"""GGUF value type to `struct` code; a bool is one byte."""

MAX_KEYS = 65_536
MAX_TENSORS = 1_048_576
MAX_DIMENSIONS = 4


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: its shape as numpy writes it (slowest axis first), its GGML type, its byte offset in the file."""

    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True, slots=True)
class GGUFHeader:
    """Metadata by key (arrays as lists), tensors by name, and the size of the file in bytes."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, TensorInfo]
    file_size: int


class _Cursor:
    """Reads values in sequence; reading past the end of the file is an error and allocates nothing."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.size = len(data)
        self.at = 0

    def take(self, count: int) -> bytes:
        if count > self.size - self.at:
            raise _Malformed("it ends inside its header")
        start, self.at = self.at, self.at + count
        return self.data[start : self.at]

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def string(self) -> str:
        return self.take(self.number("Q")).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            return self.array()
        if kind not in SCALARS:
            raise _Malformed(f"value type {kind} is unknown")
        value = self.number(SCALARS[kind])
        return bool(value) if kind == BOOL else value

    def array(self) -> list[Any]:
        kind, count = self.number("I"), self.number("Q")
        if kind == STRING:
            if count > (self.size - self.at) // 8:
                raise _Malformed("it ends inside its header")
            return [self.string() for _ in range(count)]
        if kind not in SCALARS:
            raise _Malformed(f"arrays of value type {kind} are not supported")
        width = struct.calcsize("<" + SCALARS[kind])
        if count > (self.size - self.at) // width:
            raise _Malformed("it ends inside its header")
        values = struct.unpack(f"<{count}{SCALARS[kind]}", self.take(count * width))
        return [bool(value) for value in values] if kind == BOOL else list(values)


class _Malformed(Exception):
    """What is wrong with the header, for the error message."""


def read_gguf_header(path: Path) -> GGUFHeader:
    """Metadata and tensor table of a GGUF file.

    Args:
        path: The file.

    Raises:
        UserError: The file is missing, not GGUF, of another version, or truncated within its header.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != MAGIC:
                raise _Malformed("it does not begin with the bytes GGUF")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _parse(path, _Cursor(data))
    except OSError as error:
        raise UserError(f"cannot read the model file {path}: {error.strerror or error}") from error
    except _Malformed as problem:
        raise UserError(f"{path} is not a valid GGUF file: {problem}; fetch it again") from problem


def _parse(path: Path, cursor: _Cursor) -> GGUFHeader:
    cursor.at = len(MAGIC)
    version = cursor.number("I")
    if version not in (2, 3):
        raise _Malformed(f"GGUF version {version} is not supported, expected 2 or 3 (little-endian)")
    num_tensors, num_keys = cursor.number("Q"), cursor.number("Q")
    if num_tensors > MAX_TENSORS or num_keys > MAX_KEYS:
        raise _Malformed(f"{num_tensors} tensors and {num_keys} metadata keys exceed the limits")
    metadata: dict[str, Any] = {}
    for _ in range(num_keys):
        key = cursor.string()
        metadata[key] = cursor.value(cursor.number("I"))
    table: dict[str, tuple[tuple[int, ...], int, int]] = {}
    for _ in range(num_tensors):
        name, num_dimensions = cursor.string(), cursor.number("I")
        if not 0 < num_dimensions <= MAX_DIMENSIONS:
            raise _Malformed(f"tensor {name[:80]!r} has {num_dimensions} dimensions")
        shape = tuple(reversed([cursor.number("Q") for _ in range(num_dimensions)]))
        if 0 in shape:
            raise _Malformed(f"tensor {name[:80]!r} is empty")
        if name in table:
            raise _Malformed(f"tensor {name[:80]!r} occurs twice")
        table[name] = (shape, cursor.number("I"), cursor.number("Q"))
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise _Malformed(f"general.alignment is {alignment!r}")
    start = -(-cursor.at // alignment) * alignment
    tensors = {name: TensorInfo(shape, kind, start + offset) for name, (shape, kind, offset) in table.items()}
    return GGUFHeader(path=path, metadata=metadata, tensors=tensors, file_size=cursor.size)
