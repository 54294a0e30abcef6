"""The adapters on the real rows that development machines have beside the checkout; skipped where they are absent."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from thinkaloud.config import SourceConfig
from thinkaloud.data.read import open_source
from thinkaloud.data.rows import Rejection
from thinkaloud.domains import BUILTIN
from thinkaloud.domains.base import FULL
from thinkaloud.records import Task

ROWS = Path(os.environ.get("THINKALOUD_ROWS", Path(__file__).parents[3] / "shared" / "data"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (ROWS / "gsm8k").is_dir(), reason=f"no rows of real sources in {ROWS}; THINKALOUD_ROWS names another folder"
    ),
]


def read(name: str) -> list[Task | Rejection]:
    return list(open_source(name, SourceConfig(), ROWS).rows())


def tasks(rows: list[Task | Rejection]) -> list[Task]:
    return [row for row in rows if isinstance(row, Task)]


def counts(rows: list[Task | Rejection]) -> dict[str, int]:
    """How many rows went to which domain, and to which reason."""
    return dict(Counter(row.domain if isinstance(row, Task) else row.reason for row in rows))


def full_marks(task: Task) -> bool:
    """Whether a row's gold answer satisfies its own verifier."""
    return BUILTIN[task.domain].score(task, "", task.answer, None).value == FULL


def test_gsm8k_every_gold_answer_parses() -> None:
    rows = read("gsm8k")
    assert counts(rows) == {"math": 7_473}
    assert all(full_marks(task) for task in tasks(rows))
    assert all(task.rationale and "<<" not in task.rationale and "####" not in task.rationale for task in tasks(rows))


def test_mbpp() -> None:
    rows = read("mbpp")
    assert Counter(task.split for task in tasks(rows)) == {"train": 374 + 10, "validation": 90}
    assert counts(rows) == {"coding": 474}
    for task in tasks(rows):
        assert "\r" not in task.answer
        assert len(set(task.tests)) >= 2


@pytest.mark.parametrize(("name", "number"), [("ARC-Easy", 2_821), ("ARC-Challenge", 1_418)])
def test_arc_all_of_it(name: str, number: int) -> None:
    rows = read(name)
    assert counts(rows) == {"science": number}
    assert all(full_marks(task) for task in tasks(rows))
    assert {len(task.choices) for task in tasks(rows)} == {3, 4, 5}


def test_sciq_with_and_without_options() -> None:
    rows = read("sciq")
    assert counts(rows) == {"science": 12_679}
    with_options = [task for task in tasks(rows) if task.choices]
    assert len(with_options) == 1_000
    assert {task.split for task in with_options} == {"validation"}
    assert all(full_marks(task) for task in with_options)
    places = Counter(task.choices.index(task.answer) for task in with_options)
    assert min(places[place] for place in range(4)) > 200


def test_strategyqa() -> None:
    rows = read("strategyqa")
    assert counts(rows) == {"logic": 2_290}
    assert {task.answer for task in tasks(rows)} == {"yes", "no"}
    assert all(task.rationale for task in tasks(rows))


def test_dolly_by_category() -> None:
    found = counts(read("dolly15k"))
    assert sum(found.values()) == 15_011
    assert {name: found[name] for name in ("creative_ideation", "creative_writing")} == {
        "creative_ideation": 1_766,
        "creative_writing": 709,
    }
    assert found["category open_qa"] == 3_742
    assert "unknown category" not in found


def test_writingprompts_reads_like_prose() -> None:
    rows = read("writingprompts")
    assert counts(rows) == {
        "creative_writing": 470,
        "the prompt is a picture or a song": 23,
        "no prompt, but talk about the forum": 7,
    }
    for task in tasks(rows):
        assert not task.key.casefold().startswith(("[ wp", "[wp"))
        for spaced in (" n't", " ,", "``", "''", "\n\n\n", "  "):
            assert spaced not in task.question + task.answer


def test_xsum() -> None:
    assert counts(read("xsum")) == {"summarization": 1_988, "no question": 1}
