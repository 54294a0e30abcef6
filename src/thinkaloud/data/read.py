"""Reads a source: finds its splits, and turns each row into a task or a rejection with its reason.

opened = open_source("gsm8k", recipe.data.sources["gsm8k"], Path("rows"))
for found in opened.rows(): ...        # Task | Rejection, one at a time, in bounded memory
opened.identity()                      # what was read, for the pool's record
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from thinkaloud.config import SourceConfig
from thinkaloud.data.files import SUFFIXES, Note, Unavailable, file_identity, read_rows, suffix_of
from thinkaloud.data.hub import open_hub
from thinkaloud.data.rows import RawRow, Rejection, Values
from thinkaloud.data.sources import SOURCES, InvalidRow, Source, own_source
from thinkaloud.errors import UserError
from thinkaloud.records import Task

_TEST = frozenset(("test", "tests", "testing", "eval", "evaluation"))
_VALIDATION = frozenset(("validation", "valid", "val", "dev", "development"))
_SHARD = re.compile(r"-\d{5}-of-\d{5}(?:-[0-9a-f]+)?$")
_PROBED = 100
"""Rows of a split that are searched for the columns."""

__all__ = ["OpenSource", "Unavailable", "open_source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSplit:
    """One split that was found and is not read yet.

    `name` is the source's own name for it; `role` is "train", "validation" or "test". The last two never train.
    """

    name: str
    role: str
    rows: Callable[[], Iterator[RawRow | Rejection]]
    identity: Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSource:
    """A source whose splits were found."""

    source: Source
    splits: tuple[SourceSplit, ...]

    def rows(self) -> Iterator[Task | Rejection]:
        """Every row of every split, in order: a task, whose `split` is the role of its split, or a rejection.

        Raises:
            UserError: A column that the recipe names does not exist, or reading fails.
        """
        for split in self.splits:
            rows = (self._reshaped(row) for row in split.rows())
            first = list(islice(rows, _PROBED))
            probed = [row.values for row in first if isinstance(row, RawRow)]
            self._check_columns(split.name, probed)
            to_task = self.source.adapted(probed) if self.source.adapted else self.source.to_task
            for row in chain(first, rows):
                yield row if isinstance(row, Rejection) else self._to_task(row, split.role, to_task)

    def identity(self) -> list[dict[str, Any]]:
        """What is read, by split: name, size and SHA-256 of files; id, configuration and commit of a hub data set."""
        return [{"split": split.name, "role": split.role, **split.identity()} for split in self.splits]

    def _reshaped(self, row: RawRow | Rejection) -> RawRow | Rejection:
        if self.source.reshape is None or isinstance(row, Rejection):
            return row
        return replace(row, values=self.source.reshape(row.values))

    def _to_task(self, row: RawRow, role: str, to_task: Callable[[Values], Task]) -> Task | Rejection:
        try:
            task = to_task(row.values)
        except InvalidRow as error:
            return Rejection(row, str(error))
        return replace(task, source=self.source.name, license=self.source.license, split=role)

    def _check_columns(self, split: str, rows: list[Values]) -> None:
        found = list(dict.fromkeys(str(column) for values in rows for column in values))
        for column in self.source.columns if rows else ():
            if column not in found:
                raise UserError(
                    f"sources.{self.source.name}: expected a column {column!r} in split {split!r}, found "
                    f"{', '.join(found)}; name the right ones in the recipe (question, answer, rationale, choices, ...)"
                )


def open_source(
    name: str, config: SourceConfig, data_dir: Path | None = None, note: Note = lambda text: None
) -> OpenSource:
    """Find a source's splits: at `config.path`, else in `data_dir`/NAME, else on the hub.

    Args:
        name: A known source other than `starter`, or one of the user's own.
        config: Its table in the recipe; `config.splits` reads these splits and no others.
        data_dir: The folder of all sources (`data.dir`), if there is one.
        note: Receives one line about a detected encoding or delimiter.

    Raises:
        Unavailable: The source cannot be read; the message says how to fix that.
        UserError: A split that the recipe asks for does not exist, or the recipe describes the source wrongly.
    """
    source = SOURCES[name] if name in SOURCES else own_source(name, config)
    if config.path is not None:
        return _on_disk(source, config, Path(config.path).expanduser(), f"sources.{name}.path", note)
    if data_dir is not None:
        if not data_dir.is_dir():
            raise Unavailable(f"data.dir (--data-dir): expected a folder, found no {data_dir}")
        if (data_dir / name).is_dir():
            return _on_disk(source, config, data_dir / name, "data.dir", note)
    return _on_hub(source, config, data_dir)


def role_of(split: str, source: Source) -> str:
    """The role of a split: as its source says, else by its name. Evaluation sets never train.

    >>> role_of("dev", SOURCES["gsm8k"]), role_of("train", SOURCES["svamp"])
    ('validation', 'test')
    """
    if split in source.splits:
        return source.splits[split]
    words = set(re.split(r"[^a-z]+", split.casefold()))
    if words & _TEST or (source.splits and "train" not in source.splits.values()):
        return "test"
    return "validation" if words & _VALIDATION else "train"


def _on_disk(source: Source, config: SourceConfig, path: Path, key: str, note: Note) -> OpenSource:
    if path.is_file():
        if suffix_of(path) is None:
            raise UserError(f"{key}: expected a file of kind {', '.join(SUFFIXES)}, or a folder; found {path}")
        found = {_split_name(path): [path]}
    elif path.is_dir():
        found = _splits_in(path)
    else:
        raise Unavailable(f"{key}: expected a file or a folder, found no {path}; fix the path of sources.{source.name}")
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
    files = (_file_split(source, split, found[split], note, config.encoding) for split in wanted)
    return OpenSource(source=source, splits=tuple(files))


def _usual_order(source: Source, found: dict[str, list[Path]]) -> tuple[str, ...]:
    """All splits, training rows first, where the source names none of its own or is given as one file."""
    if source.splits and len(found) > 1:
        return ()
    order = ("train", "validation", "test")
    return tuple(sorted(found, key=lambda split: (order.index(role_of(split, source)), split)))


def _file_split(source: Source, split: str, paths: list[Path], note: Note, encoding: str | None) -> SourceSplit:
    def rows() -> Iterator[RawRow | Rejection]:
        return chain.from_iterable(read_rows(path, split, note, encoding=encoding) for path in paths)

    def identity() -> dict[str, Any]:
        return {"files": [file_identity(path) for path in paths]}

    return SourceSplit(name=split, role=role_of(split, source), rows=rows, identity=identity)


def _splits_in(folder: Path) -> dict[str, list[Path]]:
    """The files of a folder by split; shards such as `train-00000-of-00002.parquet` make up one split.

    Raises:
        UserError: A split has two files that are not shards.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and suffix_of(path) is not None:
            found.setdefault(_split_name(path), []).append(path)
    for split, paths in found.items():
        if len(paths) > 1 and not all(_SHARD.search(_stem(path)) for path in paths):
            names = ", ".join(path.name for path in paths)
            raise UserError(f"expected one file of split {split!r} in {folder}, found {names}; keep one of them")
    return found


def _stem(path: Path) -> str:
    return path.name.removesuffix(suffix_of(path) or "")


def _split_name(path: Path) -> str:
    return _SHARD.sub("", _stem(path))


def _on_hub(source: Source, config: SourceConfig, data_dir: Path | None) -> OpenSource:
    hub_names = source.hub_splits or {split: split for split in source.splits}
    wanted = config.splits or tuple(hub_names)
    looked = f"{data_dir / source.name} does not exist, and " if data_dir is not None else ""
    splits = []
    for split in wanted:
        try:
            rows, identity = open_hub(source, split, hub_names.get(split, split), config.revision)
        except Unavailable as error:
            raise Unavailable(
                f"source {source.name!r} is not available: {looked}{error}. Give its rows with "
                f"sources.{source.name}.path or in data.dir (--data-dir)"
            ) from error
        splits.append(SourceSplit(name=split, role=role_of(split, source), rows=rows, identity=identity))
    return OpenSource(source=source, splits=tuple(splits))
