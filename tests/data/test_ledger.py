"""The ledger: every row read is kept or dropped once, with a reason and the first example."""

from __future__ import annotations

import pytest

from thinkaloud.data.ledger import MAX_EXAMPLE, Ledger, percentiles
from thinkaloud.data.rows import RawRow, Rejection
from thinkaloud.records import Task


def task(domain: str = "math", source: str = "s", question: str = "q", split: str = "train") -> Task:
    return Task(
        id=question,
        domain=domain,
        source=source,
        question=question,
        answer="1",
        split=split,
        license=f"licence of {source}",
    )


def test_lines_add_up_in_the_order_of_domains() -> None:
    ledger = Ledger()
    for domain, source in (("logic", "b"), ("math", "a"), ("math", "a")):
        ledger.read(task(domain, source))
    kept, also = task("math", "a", "k", split="test"), task("logic", "b", "l")
    ledger.measure(kept, 7)
    ledger.keep(kept)
    ledger.drop(task("math", "a", "What?\n  Now"), "exact copy")
    row = RawRow({}, "train", 3, "x" * 500)
    ledger.reject(Rejection(row, "no answer"), "", "c", "licence of c")
    ledger.measure(also, 9)
    ledger.keep(also)
    math, logic, nowhere = ledger.as_list(("math", "logic"))
    assert (math["read"], math["kept"], math["dropped"]) == (
        2,
        {"train": 0, "validation": 0, "test": 1},
        {"exact copy": 1},
    )
    assert math["examples"] == {"exact copy": "What? Now"}
    assert math["prompt_tokens"] == {"p50": 7, "p95": 7, "max": 7}
    assert (logic["license"], logic["kept"]["train"]) == ("licence of b", 1)
    assert nowhere["domain"] == ""
    assert (nowhere["read"], nowhere["license"]) == (1, "licence of c")
    assert nowhere["examples"]["no answer"].startswith("train row 3: xxx")
    assert len(nowhere["examples"]["no answer"]) == MAX_EXAMPLE
    assert ledger.reasons() == {"exact copy": 1, "no answer": 1}
    assert ledger.reasons("math") == {"exact copy": 1}


def test_a_row_that_is_neither_kept_nor_dropped_is_noticed() -> None:
    ledger = Ledger()
    ledger.read(task("math", "a"))
    with pytest.raises(AssertionError, match="do not add up"):
        ledger.as_list(("math",))


def test_only_the_first_example_is_kept() -> None:
    ledger = Ledger()
    for question in ("first", "second"):
        ledger.read(task(question=question))
        ledger.drop(task(question=question), "near copy")
    (line,) = ledger.as_list(("math",))
    assert (line["dropped"], line["examples"]) == ({"near copy": 2}, {"near copy": "first"})


def test_percentiles_are_values_that_occur() -> None:
    assert percentiles([]) == {}
    assert percentiles([5]) == {"p50": 5, "p95": 5, "max": 5}
    assert percentiles(list(range(1, 101))) == {"p50": 51, "p95": 96, "max": 100}
