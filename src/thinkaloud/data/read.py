"""Reading a source: where its rows are, and each of them as a task or as a rejection with its reason.

opened = open_source("gsm8k", recipe.data.sources["gsm8k"], Path("rows"))
for row in opened.rows(): ...          # ReadRow, one at a time, in bounded memory
opened.identity()                      # what was read, for the pool's record
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from thinkaloud.config import SourceConfig
from thinkaloud.data.files import SUFFIXES, Cell, Unavailable, file_identity, read_rows, suffix_of
from thinkaloud.data.hub import open_hub
from thinkaloud.data.sources import SOURCES, Draft, Source, Unfit, own_source
from thinkaloud.errors import UserError

_TEST = frozenset(("test", "tests", "testing", "eval", "evaluation"))
_VALIDATION = frozenset(("validation", "valid", "val", "dev", "development"))
_SHARD = re.compile(r"-\d{5}-of-\d{5}(?:-[0-9a-f]+)?$")
_PROBED = 100
_EXAMPLE_CHARS = 200

__all__ = ["OpenSource", "ReadRow", "Unavailable", "open_source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRow:
    """One row of a source.

    `split` is the source's own name for it, `role` what becomes of it ("train", "validation", "test"; the last two
    never train), `number` its place in the split's file, from 1. It has either a `draft`, or a `reason`, one fixed
    phrase, with the beginning of the row as `example`.
    """

    split: str
    role: str
    number: int
    draft: Draft | None = None
    reason: str | None = None
    example: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One split, found but not read."""

    split: str
    role: str
    cells: Callable[[], Iterator[Cell]]
    identity: Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSource:
    """A source whose splits have been found."""

    source: Source
    parts: tuple[Part, ...]

    def rows(self) -> Iterator[ReadRow]:
        """Every row of every split, in order; nothing is left out.

        Raises:
            UserError: a column that the recipe names is nowhere, or the source breaks off.
        """
        for part in self.parts:
            cells = part.cells()
            first = list(islice(cells, _PROBED))
            self._check_columns(part, first)
            for cell in chain(first, cells):
                yield self._read(part, cell)

    def identity(self) -> list[dict[str, Any]]:
        """What is read, by split: of files the name, size and SHA-256, of the hub its id, configuration and commit."""
        return [{"split": part.split, "role": part.role, **part.identity()} for part in self.parts]

    def _read(self, part: Part, cell: Cell) -> ReadRow:
        draft, reason, example = None, cell.reason or None, cell.raw
        if cell.row is not None:
            try:
                draft = self.source.to_draft(cell.row)
            except Unfit as error:
                reason, example = str(error), json.dumps(cell.row, ensure_ascii=False, default=str)
        return ReadRow(
            split=part.split,
            role=part.role,
            number=cell.number,
            draft=draft,
            reason=reason,
            example=" ".join(example.split())[:_EXAMPLE_CHARS],
        )

    def _check_columns(self, part: Part, first: list[Cell]) -> None:
        rows = [cell.row for cell in first if cell.row is not None]
        found = list(dict.fromkeys(str(column) for row in rows for column in row))
        for column in self.source.columns if rows else ():
            if column not in found:
                raise UserError(
                    f"sources.{self.source.name}: expected a column {column!r} in split {part.split!r}, found "
                    f"{', '.join(found)}; name the right ones in the recipe (question, answer, rationale, choices, ...)"
                )


def open_source(name: str, config: SourceConfig, data_dir: Path | None = None) -> OpenSource:
    """Find a source's splits: at `config.path`, else in `data_dir`/NAME, else on the hub.

    Args:
        name: a known source other than `starter`, or one of the user's own.
        config: its table in the recipe; `config.splits` reads these splits and no others.
        data_dir: the folder of all sources (`data.dir`), if there is one.

    Raises:
        Unavailable: it cannot be had; the message says how to mend that.
        UserError: a split that the recipe asks for is not there, or the recipe describes it wrongly.
    """
    source = SOURCES[name] if name in SOURCES else own_source(name, config)
    if config.path is not None:
        return _on_disk(source, config, Path(config.path).expanduser(), f"sources.{name}.path")
    if data_dir is not None:
        if not data_dir.is_dir():
            raise Unavailable(f"data.dir (--data-dir): expected a folder, found no {data_dir}")
        if (data_dir / name).is_dir():
            return _on_disk(source, config, data_dir / name, "data.dir")
    return _on_hub(source, config, data_dir)


def role_of(split: str, source: Source) -> str:
    """What becomes of a split's rows: as its source says, else by its name. An evaluation set never trains.

    >>> role_of("dev", SOURCES["gsm8k"]), role_of("train", SOURCES["svamp"])
    ('validation', 'test')
    """
    if split in source.splits:
        return source.splits[split]
    words = set(re.split(r"[^a-z]+", split.casefold()))
    if words & _TEST or (source.splits and "train" not in source.splits.values()):
        return "test"
    return "validation" if words & _VALIDATION else "train"


def _on_disk(source: Source, config: SourceConfig, path: Path, key: str) -> OpenSource:
    if path.is_file():
        if suffix_of(path) is None:
            raise UserError(f"{key}: expected a file of kind {', '.join(SUFFIXES)}, or a folder; found {path}")
        found = {_split_name(path): [path]}
    elif path.is_dir():
        found = _splits_in(path)
    else:
        raise Unavailable(
            f"{key}: expected a file or a folder, found no {path}; mend the path, or mark sources.{source.name} with "
            "optional = true"
        )
    wanted = config.splits or tuple(split for split in source.splits if split in found) or _usual_order(source, found)
    for split in wanted:
        if split not in found:
            raise UserError(
                f"sources.{source.name}: expected a split {split!r} in {path}, found {', '.join(found) or 'none'}; a "
                "split is a file such as train.jsonl"
            )
    if not wanted:
        raise Unavailable(
            f"sources.{source.name}: expected splits such as {next(iter(source.splits), 'train')}.jsonl in {path}, "
            f"found {', '.join(found) or 'none'}"
        )
    return OpenSource(source=source, parts=tuple(_file_part(source, split, found[split]) for split in wanted))


def _usual_order(source: Source, found: dict[str, list[Path]]) -> tuple[str, ...]:
    """Where the source has no splits of its own, or is given as one file: all that there are, training rows first."""
    if source.splits and len(found) > 1:
        return ()
    order = ("train", "validation", "test")
    return tuple(sorted(found, key=lambda split: (order.index(role_of(split, source)), split)))


def _file_part(source: Source, split: str, paths: list[Path]) -> Part:
    def cells() -> Iterator[Cell]:
        return chain.from_iterable(map(read_rows, paths))

    def identity() -> dict[str, Any]:
        return {"files": [file_identity(path) for path in paths]}

    return Part(split=split, role=role_of(split, source), cells=cells, identity=identity)


def _splits_in(folder: Path) -> dict[str, list[Path]]:
    """The files of a folder by split; `train-00000-of-00002.parquet` and its like make up one.

    Raises:
        UserError: one split stands there twice.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and suffix_of(path) is not None:
            found.setdefault(_split_name(path), []).append(path)
    for split, paths in found.items():
        if len(paths) > 1 and not all(_SHARD.search(_stem(path)) for path in paths):
            names = ", ".join(path.name for path in paths)
            raise UserError(f"expected one file of split {split!r} in {folder}, found {names}; leave one there")
    return found


def _stem(path: Path) -> str:
    return path.name.removesuffix(suffix_of(path) or "")


def _split_name(path: Path) -> str:
    return _SHARD.sub("", _stem(path))


def _on_hub(source: Source, config: SourceConfig, data_dir: Path | None) -> OpenSource:
    there = source.hub_splits or {split: split for split in source.splits}
    wanted = config.splits or tuple(there)
    looked = f"{data_dir / source.name} is not there, and " if data_dir is not None else ""
    parts = []
    for split in wanted:
        try:
            cells, identity = open_hub(source, there.get(split, split), config.revision)
        except Unavailable as error:
            raise Unavailable(
                f"source {source.name!r} cannot be had: {looked}{error}. Give its rows with sources.{source.name}.path "
                f"or in data.dir (--data-dir), or mark it with optional = true"
            ) from error
        parts.append(Part(split=split, role=role_of(split, source), cells=cells, identity=identity))
    return OpenSource(source=source, parts=tuple(parts))
