"""Rows from the Hugging Face hub, through `datasets`; imported only where they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from thinkaloud.data.files import Cell, Unavailable
from thinkaloud.data.sources.base import Source

Opened = tuple[Callable[[], Iterator[Cell]], Callable[[], dict[str, Any]]]


def open_hub(source: Source, split: str, revision: str | None) -> Opened:
    """A split of a hub data set: how to read its rows, and what tells them from others.

    Args:
        source: whose `hub` and `config` name the data set.
        split: the hub copy's own name.
        revision: commit, tag or branch; the source's own branch, or the newest, when absent.

    Raises:
        Unavailable: the hub does not give it, for whatever reason.
    """
    wanted = revision or source.revision
    commit = _resolve(source.hub, wanted)
    try:
        from datasets import load_dataset

        rows = load_dataset(
            source.hub, source.config, split=split, revision=commit or wanted, streaming=source.streaming
        )
    except Exception as error:  # what `datasets` raises differs by version, cause and file system
        raise Unavailable(f"the hub's {source.hub} gave no split {split!r} ({_first_line(error)})") from error

    def cells() -> Iterator[Cell]:
        try:
            for number, row in enumerate(rows, start=1):
                yield Cell(number, dict(row))
        except Exception as error:
            raise Unavailable(f"the hub's {source.hub} broke off in split {split!r} ({_first_line(error)})") from error

    def identity() -> dict[str, Any]:
        return {"hub": source.hub, "config": source.config, "hub_split": split, "revision": commit or wanted}

    return cells, identity


def _resolve(hub: str, revision: str | None) -> str | None:
    """The commit that a revision names now; None where the hub does not answer (a cached copy may still do)."""
    try:
        from huggingface_hub import HfApi

        commit: str | None = HfApi().dataset_info(hub, revision=revision, timeout=10).sha
    except Exception:  # offline, or no such data set: loading it says which
        return None
    return commit


def _first_line(error: Exception) -> str:
    text = str(error).strip().split("\n")[0][:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
