"""Rows from the Hugging Face hub, through `datasets`, which is imported only when a source needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from thinkaloud.data.files import Unavailable
from thinkaloud.data.rows import RawRow
from thinkaloud.data.sources.base import Source


def open_hub(
    source: Source, split: str, hub_split: str, revision: str | None
) -> tuple[Callable[[], Iterator[RawRow]], Callable[[], dict[str, Any]]]:
    """A split of a hub data set: a function that reads its rows, and one that returns what identifies them.

    Args:
        source: `hub` and `config` name the data set.
        split: Our name of the split.
        hub_split: The hub copy's name of it.
        revision: Commit, tag or branch; the source's own branch, or the newest, when absent.

    Raises:
        Unavailable: The hub does not serve the split.
    """
    branch = revision or source.revision
    commit = _resolve(source.hub, branch)
    try:
        from datasets import load_dataset

        loaded = load_dataset(
            source.hub, source.config, split=hub_split, revision=commit or branch, streaming=source.streaming
        )
    except Exception as error:  # what `datasets` raises differs by version, cause and file system
        raise Unavailable(f"the hub's {source.hub} gave no split {hub_split!r} ({_first_line(error)})") from error

    def rows() -> Iterator[RawRow]:
        try:
            for number, row in enumerate(loaded, start=1):
                yield RawRow(dict(row), split, number)
        except Exception as error:
            raise Unavailable(
                f"the hub's {source.hub} broke off in split {hub_split!r} ({_first_line(error)})"
            ) from error

    def identity() -> dict[str, Any]:
        return {"hub": source.hub, "config": source.config, "hub_split": hub_split, "revision": commit or branch}

    return rows, identity


def _resolve(hub: str, revision: str | None) -> str | None:
    """The commit of a revision now; None where the hub does not answer (a cached copy may still exist)."""
    try:
        from huggingface_hub import HfApi

        commit: str | None = HfApi().dataset_info(hub, revision=revision, timeout=10).sha
    except Exception:  # offline, or no such data set: loading it reports which
        return None
    return commit


def _first_line(error: Exception) -> str:
    text = str(error).strip().split("\n")[0][:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
