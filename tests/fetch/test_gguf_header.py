"""The head of a GGUF file, against bytes written by hand after the specification."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from thinkaloud.errors import UserError
from thinkaloud.fetch.gguf_header import TensorInfo, read_gguf_header


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def header(*pairs: bytes, tensors: tuple[bytes, ...] = (), version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs)) + b"".join(pairs) + b"".join(tensors)


def number(key: str, kind: int, code: str, value: float) -> bytes:
    return text(key) + struct.pack("<I" + code, kind, value)


def refuse(path: Path, content: bytes, named: str) -> None:
    path.write_bytes(content)
    with pytest.raises(UserError, match=named) as caught:
        read_gguf_header(path)
    assert "\n" not in str(caught.value)


def test_values_of_every_kind(tmp_path: Path) -> None:
    scalars = {0: ("B", 200), 1: ("b", -5), 2: ("H", 60000), 3: ("h", -300), 4: ("I", 1 << 31), 5: ("i", -9)}
    scalars |= {6: ("f", 0.5), 7: ("B", 1), 10: ("Q", 1 << 63), 11: ("q", -(1 << 62)), 12: ("d", 0.1)}
    pairs = [number(f"key{kind}", kind, code, value) for kind, (code, value) in scalars.items()]
    pairs.append(text("words") + struct.pack("<IIQ", 9, 8, 2) + text("née") + text(""))
    pairs.append(text("flags") + struct.pack("<IIQ", 9, 7, 3) + b"\x01\x00\x01")
    pairs.append(text("floats") + struct.pack("<IIQ2f", 9, 6, 2, 1.5, -2.0))
    path = tmp_path / "a.gguf"
    path.write_bytes(header(*pairs))
    metadata = read_gguf_header(path).metadata
    assert [metadata[f"key{kind}"] for kind in scalars] == [
        *(200, -5, 60000, -300, 1 << 31, -9, 0.5, True, 1 << 63, -(1 << 62), 0.1)
    ]
    assert metadata["key7"] is True
    assert (metadata["words"], metadata["flags"], metadata["floats"]) == (["née", ""], [True, False, True], [1.5, -2.0])


@pytest.mark.parametrize(("alignment", "start"), [(None, 96), (64, 128)])
def test_tensor_table(alignment: int | None, start: int, tmp_path: Path) -> None:
    """Shapes turn round (GGUF counts from the fastest axis); offsets are from the aligned end of the header."""
    tensor = text("w") + struct.pack("<IQQIQ", 2, 640, 3, 8, 32)
    pairs = () if alignment is None else (number("general.alignment", 4, "I", alignment),)
    content = header(*pairs, tensors=(tensor,))
    assert start - 64 < len(content) <= start
    path = tmp_path / "a.gguf"
    path.write_bytes(content + bytes(200))
    found = read_gguf_header(path)
    assert found.tensors == {"w": TensorInfo(shape=(3, 640), kind=8, offset=start + 32)}
    assert found.file_size == len(content) + 200


def test_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    tensor = text("w") + struct.pack("<IQIQ", 1, 4, 0, 0)
    refuse(path, b"", "does not begin")
    refuse(path, b"GGML" + bytes(50), "does not begin")
    refuse(path, header(version=1), "version 1")
    refuse(path, b"GGUF" + bytes(2), "ends inside its header")
    refuse(path, header(tensors=(tensor, tensor)), "'w' occurs twice")
    refuse(path, header(tensors=(text("w") + struct.pack("<I", 9),)), "9 dimensions")
    refuse(path, header(tensors=(text("w") + struct.pack("<IQIQ", 1, 0, 0, 0),)), "is empty")
    refuse(path, header(number("general.alignment", 4, "I", 0)), "general.alignment is 0")
    refuse(path, header(text("a") + struct.pack("<I", 13)), "value type 13")
    refuse(path, header(text("a") + struct.pack("<IIQ", 9, 9, 1)), "arrays of value type 9")


def test_hostile_lengths_set_no_memory_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    most = (1 << 64) - 1
    refuse(path, header(struct.pack("<Q", most)), "ends inside")
    refuse(path, header(text("a") + struct.pack("<IIQ", 9, 8, most)), "ends inside")
    refuse(path, header(text("a") + struct.pack("<IIQ", 9, 6, most)), "ends inside")
    refuse(path, b"GGUF" + struct.pack("<IQQ", 3, most, 0), "exceed the limits")
    refuse(path, b"GGUF" + struct.pack("<IQQ", 3, 0, most), "exceed the limits")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read the model file .* No such file"):
        read_gguf_header(tmp_path / "none.gguf")
