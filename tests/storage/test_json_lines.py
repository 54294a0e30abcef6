"""Lines of JSON: numbers, limits, and the reason for every line that is rejected."""

from __future__ import annotations

import io

import pytest

from thinkaloud.storage.json_lines import InvalidLine, bounded_lines, parse_object

LIMIT = 1 << 20


def test_lines_have_numbers_from_one_and_keep_their_ends() -> None:
    assert list(bounded_lines(io.StringIO("a\n\nb"), LIMIT)) == [(1, "a\n"), (2, "\n"), (3, "b")]
    assert list(bounded_lines(io.BytesIO(b"a\n\nb"), LIMIT)) == [(1, b"a\n"), (2, b"\n"), (3, b"b")]


@pytest.mark.parametrize("length", [4, 5, 6, 11, 12, 13])
def test_a_long_line_is_cut_and_its_rest_is_skipped(length: int) -> None:
    found = list(bounded_lines(io.StringIO("x" * length + "\nnext\n"), 5))
    assert [number for number, _ in found] == [1, 2]
    assert len(found[0][1]) == min(length + 1, 6)
    assert found[1] == (2, "next\n")


def test_no_more_than_the_limit_is_read_at_once() -> None:
    sizes: list[int] = []

    class File(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            line = super().readline(size)
            sizes.append(len(line))
            return line

    assert len(list(bounded_lines(File(b"x" * 1000), 10))) == 1
    assert max(sizes) == 11


def test_objects_from_text_and_from_bytes() -> None:
    assert parse_object('{"a": [1]}\n', LIMIT) == {"a": [1]}
    assert parse_object('{"ü": 1}'.encode(), LIMIT) == {"ü": 1}
    assert parse_object("{}", 2) == {}


@pytest.mark.parametrize(
    ("line", "reason", "found"),
    [
        ("{", "not JSON", "property name"),
        ("[" * 100_000, "not JSON", "JSON object"),
        (b"\xff", "not UTF-8", "UTF-8"),
        ("[1]", "not a JSON object", "a list"),
        ('"x"', "not a JSON object", "text"),
        ("1.5", "not a JSON object", "a number"),
        ("true", "not a JSON object", "true or false"),
        ("null", "not a JSON object", "null"),
        ("x" * (LIMIT + 1), "line over 1 MiB", "1,048,576 characters"),
        (b"x" * (LIMIT + 1), "line over 1 MiB", "1,048,576 bytes"),
    ],
)
def test_what_is_no_object_is_rejected_by_reason(line: str | bytes, reason: str, found: str) -> None:
    with pytest.raises(InvalidLine, match=found) as caught:
        parse_object(line, LIMIT)
    assert caught.value.reason == reason
