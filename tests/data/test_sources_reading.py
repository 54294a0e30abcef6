"""Reading: files of every kind, folders of splits, the hub; what is malformed is one row, what is missing an error."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from thinkaloud.config import SourceConfig
from thinkaloud.data import files
from thinkaloud.data.csv_rows import sniff_delimiter
from thinkaloud.data.read import Unavailable, open_source, role_of
from thinkaloud.data.rows import RawRow, Rejection
from thinkaloud.data.sources import SOURCES
from thinkaloud.errors import UserError
from thinkaloud.records import Task

ROWS = [{"question": f"What is {n} + 1?", "answer": f"Add one: {n + 1}.\n#### {n + 1}"} for n in range(5)]


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows in the format that the file's name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines(rows).encode()))
    elif path.suffix in (".csv", ".tsv"):
        import csv

        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="," if path.suffix == ".csv" else "\t")
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text(lines(rows), encoding="utf-8")
    return path


def read(name: str = "gsm8k", data_dir: Path | None = None, **config: Any) -> list[Task | Rejection]:
    return list(open_source(name, SourceConfig(**config), data_dir).rows())


def answers(rows: list[Task | Rejection]) -> list[str]:
    return [row.answer for row in rows if isinstance(row, Task)]


def splits(rows: list[Task | Rejection]) -> list[str]:
    return [row.split for row in rows if isinstance(row, Task)]


def reasons(rows: list[Task | Rejection]) -> list[str | None]:
    return [row.reason if isinstance(row, Rejection) else None for row in rows]


@pytest.mark.parametrize("suffix", files.SUFFIXES)
def test_every_kind_of_file(suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"rows{suffix}", ROWS)
    rows = read(path=str(path))
    assert answers(rows) == ["1", "2", "3", "4", "5"]
    assert splits(rows) == ["train"] * 5
    assert {(row.source, row.license) for row in rows if isinstance(row, Task)} == {("gsm8k", "MIT")}
    found = list(files.read_rows(path, "rows"))
    assert [(row.number, row.split) for row in found if isinstance(row, RawRow)] == [(n, "rows") for n in range(1, 6)]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_a_folder_of_all_sources(suffix: str, tmp_path: Path) -> None:
    write(tmp_path / "gsm8k" / f"train{suffix}", ROWS)
    write(tmp_path / "gsm8k" / f"test{suffix}", ROWS)
    rows = read(data_dir=tmp_path)
    assert splits(rows) == ["train"] * 5
    assert splits(read(data_dir=tmp_path, splits=("test",))) == ["test"] * 5


def test_splits_in_the_source_s_order_and_their_roles(tmp_path: Path) -> None:
    for split in ("validation", "prompt", "train"):
        row = {
            "text": f"Double it in {split}.",
            "code": "def f(n): return 2 * n",
            "test_list": ["assert f(1) == 2", "assert f(2) == 4"],
        }
        write(tmp_path / "mbpp" / f"{split}.jsonl", [row])
    rows = read("mbpp", tmp_path)
    assert splits(rows) == ["train", "train", "validation"]
    assert [row.key for row in rows if isinstance(row, Task)] == [
        "Double it in train.",
        "Double it in prompt.",
        "Double it in validation.",
    ]


def test_shards_make_up_a_split_and_two_files_of_one_do_not(tmp_path: Path) -> None:
    write(tmp_path / "train-00001-of-00002.parquet", ROWS[3:])
    write(tmp_path / "train-00000-of-00002.parquet", ROWS[:3])
    assert answers(read(path=str(tmp_path))) == ["1", "2", "3", "4", "5"]
    write(tmp_path / "train.jsonl", ROWS)
    with pytest.raises(UserError, match=r"'train'.*found train-00000"):
        read(path=str(tmp_path))


@pytest.mark.parametrize(
    ("split", "name", "role"),
    [
        ("train", "gsm8k", "train"),
        ("test", "gsm8k", "test"),
        ("dev", "gsm8k", "validation"),
        ("valid", "gsm8k", "validation"),
        ("test_private", "gsm8k", "test"),
        ("latest", "gsm8k", "train"),
        ("train", "svamp", "test"),
        ("train", "boolq", "test"),
        ("prompt", "mbpp", "train"),
        ("validation", "boolq", "test"),
    ],
)
def test_roles(split: str, name: str, role: str) -> None:
    assert role_of(split, SOURCES[name]) == role


def test_malformed_lines_are_one_row_each(tmp_path: Path) -> None:
    good = json.dumps(ROWS[0]).encode()
    deep = b"[" * 100_000
    parts = [
        b"\xef\xbb\xbf" + good,
        b"{broken",
        b"[1, 2]",
        b"",
        b'{"question": "\xff"}',
        deep,
        b'{"question": "x"}',
        good,
    ]
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"\n".join(parts))
    rows = read(path=str(path))
    rejected = [row for row in rows if isinstance(row, Rejection)]
    assert [(row.row.number, row.reason) for row in rejected] == [
        (2, "not JSON"),
        (3, "not a JSON object"),
        (5, "not UTF-8"),
        (6, "not JSON"),
        (7, "no answer"),
    ]
    assert isinstance(rows[0], Task)
    assert isinstance(rows[-1], Task)
    assert rejected[0].example == "{broken"
    assert rejected[-1].example == '{"question": "x"}'
    assert all(len(row.example) <= 200 for row in rejected)


def test_an_endless_line_is_one_row_and_memory_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_LINE_BYTES", 1 << 20)
    good = json.dumps(ROWS[0]).encode() + b"\n"
    (tmp_path / "train.jsonl").write_bytes(good + b"x" * (3 << 20) + b"\n" + good + b"y" * (2 << 20))
    rows = read(path=str(tmp_path / "train.jsonl"))
    assert reasons(rows) == [None, "line over 1 MiB", None, "line over 1 MiB"]
    assert [row.row.number for row in rows if isinstance(row, Rejection)] == [2, 4]


def test_malformed_csv_rows_are_one_row_each(tmp_path: Path) -> None:
    text = b'question,answer\n"What, then?",#### 1\nonly one\na,b,c\nbad \xff,#### 2\n"two\nlines",#### 3\n'
    (tmp_path / "train.csv").write_bytes(text)
    rows = read(path=str(tmp_path / "train.csv"))
    fields = "more or fewer fields than columns"
    assert reasons(rows) == [None, fields, fields, "not UTF-8", None]
    assert answers(rows) == ["1", "3"]
    (tmp_path / "train.csv").write_bytes(b'question,answer\n"never closed,#### 1\n')
    assert reasons(read(path=str(tmp_path / "train.csv"))) == ["not CSV"]


def sums(count: int) -> list[str]:
    return [f"What is {n} + 1?,#### {n + 1}\n" for n in range(count)]


@pytest.mark.parametrize("stray", ['"What is a quote?,#### 1\n', '"What is a quote?,#### 1"\n'])
def test_a_stray_quote_costs_its_own_line_alone(stray: str, tmp_path: Path) -> None:
    good = sums(40)
    (tmp_path / "train.csv").write_text("".join(["question,answer\n", *good[:5], stray, *good[5:]]))
    rows = read(path=str(tmp_path / "train.csv"))
    assert len(answers(rows)) == 40
    (rejected,) = (row for row in rows if isinstance(row, Rejection))
    assert rejected.reason in ("unclosed quote", "more or fewer fields than columns")
    assert "line 7" in rejected.example


def test_two_stray_quotes_do_not_swallow_what_is_between(tmp_path: Path) -> None:
    good = sums(20)
    text = ["question,answer\n", *good[:5], '"open,#### 1\n', *good[5:15], 'closed,#### 2"\n', *good[15:]]
    (tmp_path / "train.csv").write_text("".join(text))
    rows = read(path=str(tmp_path / "train.csv"))
    assert answers(rows)[:20] == [str(n + 1) for n in range(15)] + ['2"'] + [str(n + 1) for n in range(15, 19)]
    assert reasons(rows).count("unclosed quote") == 1


def test_a_field_may_have_many_lines(tmp_path: Path) -> None:
    poem = "\n".join(f"line {n}, of a poem" if n % 3 else f"line {n}" for n in range(30))
    (tmp_path / "train.csv").write_text(f'question,answer\n"{poem}",#### 1\nWhat?,#### 2\n')
    assert answers(read(path=str(tmp_path / "train.csv"))) == ["1", "2"]


def test_many_open_quotes_take_linear_time(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("question,answer\n" + '"open,#### 1\n' * 3_000)
    assert len(read(path=str(tmp_path / "train.csv"))) == 3_000


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-16-le"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encoding_and_delimiter_are_detected_and_reported(encoding: str, delimiter: str, tmp_path: Path) -> None:
    lines = [["question", "answer"], *([f"What is {n} plus 1, in metres?", f"#### {n + 1}"] for n in range(30))]
    text = "".join(delimiter.join(f'"{cell}"' for cell in line) + "\n" for line in lines)
    (tmp_path / "train.csv").write_bytes(text.encode(encoding))
    notes: list[str] = []
    source = open_source("gsm8k", SourceConfig(path=str(tmp_path / "train.csv")), note=notes.append)
    assert answers(list(source.rows())) == [str(n + 1) for n in range(30)]
    assert any("utf" in note for note in notes) == (encoding != "utf-8-sig")
    assert any("between fields" in note for note in notes) == (delimiter != ",")


def test_a_column_name_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("question,answer,answer\nWhat?,#### 1,#### 2\n")
    with pytest.raises(UserError, match="'answer' twice"):
        read(path=str(tmp_path / "train.csv"))


def test_a_json_array(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(json.dumps([*ROWS, 7], indent=1))
    rows = read(path=str(path))
    assert answers(rows) == ["1", "2", "3", "4", "5"]
    assert reasons(rows)[-1] == "not a JSON object"
    path.write_text("[{")
    with pytest.raises(Unavailable, match="JSON array"):
        read(path=str(path))


def test_json_files_of_every_form_and_encoding(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(ROWS, indent=1))
    assert answers(read(path=str(path))) == ["1", "2", "3", "4", "5"]
    path.write_bytes(lines(ROWS).encode("utf-16"))
    assert answers(read(path=str(path))) == ["1", "2", "3", "4", "5"]


def test_an_encoding_that_the_recipe_names(tmp_path: Path) -> None:
    text = "question;answer\nWie viel kostet Käse für 3 €?;#### 3\n"
    (tmp_path / "train.csv").write_bytes(text.encode("cp1252"))
    assert reasons(read(path=str(tmp_path / "train.csv"))) == ["not UTF-8"]
    (task,) = read(path=str(tmp_path / "train.csv"), encoding="cp1252")
    assert isinstance(task, Task)
    assert task.question == "Wie viel kostet Käse für 3 €?"
    (tmp_path / "train.csv").write_bytes(text.encode("cp1252") + b"\x81;#### 4\n")
    assert reasons(read(path=str(tmp_path / "train.csv"), encoding="cp1252")) == [None, "not cp1252"]
    with pytest.raises(ValueError, match="expected an encoding"):
        SourceConfig(encoding="rot13")


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("id;question, in full\n1;What, then?\n2;Why?\n", ";"),
        ('question\tanswer\n"a, b"\t1,5\nc, d\t2,5\n', "\t"),
        ("question\nWhat; then?\n", ","),
        ("a,b\n1,2\n", ","),
        ("", ","),
        ("question|answer\n" + '"open;' * 20_000, "|"),
    ],
)
def test_the_delimiter_is_the_one_that_the_lines_agree_on(text: str, delimiter: str) -> None:
    assert sniff_delimiter(text) == delimiter


def test_a_header_that_is_no_csv_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text('"question,answer\n')
    with pytest.raises(UserError, match="column names"):
        read(path=str(tmp_path / "train.csv"))


@pytest.mark.parametrize("name", ["train.jsonl.gz", "train.parquet"])
def test_a_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, ROWS * 200)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(Unavailable, match=name):
        read(path=str(path))


def test_rows_stream(tmp_path: Path) -> None:
    """The first row is there while the last is still broken, so the file isn't read whole first."""
    path = write(tmp_path / "train.jsonl.gz", ROWS * 2_000)
    path.write_bytes(path.read_bytes()[:-60])
    rows: Iterator[Task | Rejection] = open_source("gsm8k", SourceConfig(path=str(path))).rows()
    assert isinstance(next(rows), Task)


def test_what_is_missing_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"sources\.gsm8k\.path.*fix the path"):
        read(path=str(tmp_path / "nowhere"))
    with pytest.raises(Unavailable, match="--data-dir"):
        read(data_dir=tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UserError, match=r"\.jsonl.*notes\.txt"):
        read(path=str(tmp_path / "notes.txt"))
    (tmp_path / "gsm8k").mkdir()
    with pytest.raises(Unavailable, match=r"train\.jsonl.*found none"):
        read(data_dir=tmp_path)
    write(tmp_path / "gsm8k" / "train.jsonl", ROWS)
    with pytest.raises(UserError, match=r"'main'.*found train"):
        read(data_dir=tmp_path, splits=("main",))


def test_the_identity_of_files(tmp_path: Path) -> None:
    path = write(tmp_path / "gsm8k" / "train.jsonl", ROWS)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    file = {"file": "train.jsonl", "bytes": path.stat().st_size, "sha256": digest}
    identity = open_source("gsm8k", SourceConfig(), tmp_path).identity()
    assert identity == [{"split": "train", "role": "train", "files": [file]}]


class Hub:
    """Stands in for `datasets.load_dataset` and the hub's answer about commits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]] | Exception) -> None:
        import datasets
        import huggingface_hub

        self.rows, self.asked = rows, []
        monkeypatch.setattr(datasets, "load_dataset", self.load)
        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", self.info)

    asked: list[tuple[Any, ...]]

    def load(self, hub: str, config: str | None, *, split: str, revision: str | None, streaming: bool) -> Any:
        self.asked.append((hub, config, split, revision, streaming))
        if isinstance(self.rows, Exception):
            raise self.rows
        return iter(self.rows)

    def info(self, hub: str, **options: Any) -> Any:
        if isinstance(self.rows, Exception):
            raise self.rows
        return type("Info", (), {"sha": f"commit-of-{options['revision'] or 'main'}"})()


def test_the_hub_is_asked_for_the_right_thing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub = Hub(monkeypatch, ROWS)
    opened = open_source("gsm8k", SourceConfig(revision="v1"), tmp_path)
    assert hub.asked == [("openai/gsm8k", "main", "train", "commit-of-v1", False)]
    assert answers(list(opened.rows())) == ["1", "2", "3", "4", "5"]
    assert opened.identity() == [
        {
            "split": "train",
            "role": "train",
            "hub": "openai/gsm8k",
            "config": "main",
            "hub_split": "train",
            "revision": "commit-of-v1",
        }
    ]


def test_a_hub_copy_with_other_names_for_its_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(monkeypatch, [{"question": "Is tea wet?", "answer": True, "facts": ["Tea is water."]}])
    rows = list(open_source("strategyqa", SourceConfig()).rows())
    assert hub.asked == [("wics/strategy-qa", None, "test", "commit-of-refs/convert/parquet", False)]
    assert splits(rows) == ["train"]


def test_large_sources_stream_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(monkeypatch, [])
    for name in ("writingprompts", "xsum", "cnn_dailymail"):
        open_source(name, SourceConfig(splits=("train",)))
    assert [asked[-1] for asked in hub.asked] == [True, True, True]


def test_a_hub_that_does_not_answer_is_the_user_s_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Hub(monkeypatch, ConnectionError("no route\nto anywhere"))
    with pytest.raises(Unavailable) as caught:
        open_source("gsm8k", SourceConfig(), tmp_path)
    message = str(caught.value)
    for part in (
        "'gsm8k'",
        str(tmp_path / "gsm8k"),
        "openai/gsm8k",
        "ConnectionError: no route",
        "sources.gsm8k.path",
        "--data-dir",
    ):
        assert part in message
    assert "\n" not in message


def test_a_hub_that_breaks_off_is_the_user_s_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield ROWS[0]
        raise OSError("reset by peer")

    hub = Hub(monkeypatch, [])
    monkeypatch.setattr(hub, "rows", broken())
    with pytest.raises(Unavailable, match=r"openai/gsm8k.*'train'"):
        list(open_source("gsm8k", SourceConfig()).rows())
