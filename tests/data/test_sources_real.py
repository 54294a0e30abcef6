"""The adapters on the real rows that development machines have beside the checkout; skipped where they are absent."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from thinkaloud.config import SourceConfig
from thinkaloud.data.read import ReadRow, open_source
from thinkaloud.domains import domain
from thinkaloud.domains.base import FULL
from thinkaloud.records import Task

ROWS = Path(os.environ.get("THINKALOUD_ROWS", Path(__file__).parents[3] / "shared" / "data"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (ROWS / "gsm8k").is_dir(), reason=f"no rows of real sources in {ROWS}; THINKALOUD_ROWS names another folder"
    ),
]


def read(name: str) -> list[ReadRow]:
    return list(open_source(name, SourceConfig(), ROWS).rows())


def counts(rows: list[ReadRow]) -> dict[str, int]:
    """How many rows went to which domain, and to which reason."""
    return dict(Counter(row.draft.domain if row.draft else str(row.reason) for row in rows))


def full_marks(row: ReadRow) -> bool:
    """Whether a row's gold answer satisfies its own verifier."""
    assert row.draft is not None
    found = row.draft
    task = Task(
        id="t", domain=found.domain, source="", question=found.question, answer=found.answer, choices=found.choices
    )
    return domain(found.domain).score(task, "", found.answer, None).value == FULL


def test_gsm8k_every_gold_answer_parses() -> None:
    rows = read("gsm8k")
    assert counts(rows) == {"math": 7_473}
    assert all(full_marks(row) for row in rows)
    drafts = [row.draft for row in rows if row.draft]
    assert all(draft.rationale and "<<" not in draft.rationale and "####" not in draft.rationale for draft in drafts)


def test_mbpp() -> None:
    rows = read("mbpp")
    assert Counter((row.split, row.role) for row in rows) == {
        ("train", "train"): 374,
        ("prompt", "train"): 10,
        ("validation", "validation"): 90,
    }
    assert counts(rows) == {"coding": 474}
    for row in rows:
        assert row.draft is not None
        assert "\r" not in row.draft.answer
        assert len(set(row.draft.tests)) >= 2


@pytest.mark.parametrize(("name", "number"), [("ARC-Easy", 2_821), ("ARC-Challenge", 1_418)])
def test_arc_all_of_it(name: str, number: int) -> None:
    rows = read(name)
    assert counts(rows) == {"science": number}
    assert all(full_marks(row) for row in rows)
    assert {len(row.draft.choices) for row in rows if row.draft} == {3, 4, 5}


def test_sciq_with_and_without_options() -> None:
    rows = read("sciq")
    assert counts(rows) == {"science": 12_679}
    with_options = [row for row in rows if row.draft and row.draft.choices]
    assert len(with_options) == 1_000
    assert {row.role for row in with_options} == {"validation"}
    assert all(full_marks(row) for row in with_options)
    places = Counter(row.draft.choices.index(row.draft.answer) for row in with_options if row.draft)
    assert min(places[place] for place in range(4)) > 200


def test_strategyqa() -> None:
    rows = read("strategyqa")
    assert counts(rows) == {"logic": 2_290}
    assert {row.draft.answer for row in rows if row.draft} == {"yes", "no"}
    assert all(row.draft.rationale for row in rows if row.draft)


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
    for row in rows:
        if row.draft:
            assert not row.draft.key.casefold().startswith(("[ wp", "[wp"))
            for spaced in (" n't", " ,", "``", "''", "\n\n\n", "  "):
                assert spaced not in row.draft.question + row.draft.answer


def test_xsum() -> None:
    assert counts(read("xsum")) == {"summarization": 1_988, "no question": 1}
