"""The ledger: every row read is kept or dropped once, with a reason and the first example."""

from __future__ import annotations

import pytest

from thinkaloud.data.ledger import MAX_EXAMPLE, Ledger, percentiles
from thinkaloud.records import Task


def task(domain: str = "math", source: str = "s", question: str = "q", split: str = "train") -> Task:
    return Task(id=question, domain=domain, source=source, question=question, answer="1", split=split)


def test_lines_add_up_in_the_order_of_domains() -> None:
    ledger = Ledger()
    for domain, source in (("logic", "b"), ("math", "a"), ("math", "a"), ("", "c")):
        ledger.read(domain, source, f"licence of {source}")
    ledger.keep(task("math", "a", split="test"), prompt_tokens=7)
    ledger.drop_task(task("math", "a", "What?\n  Now"), "exact copy")
    ledger.drop("", "c", "no answer", "x" * 500)
    ledger.keep(task("logic", "b"), prompt_tokens=9)
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
    assert len(nowhere["examples"]["no answer"]) == MAX_EXAMPLE
    assert ledger.reasons() == {"exact copy": 1, "no answer": 1}
    assert ledger.reasons("math") == {"exact copy": 1}


def test_a_row_that_is_neither_kept_nor_dropped_is_noticed() -> None:
    ledger = Ledger()
    ledger.read("math", "a", "")
    with pytest.raises(AssertionError, match="do not add up"):
        ledger.as_list(("math",))


def test_only_the_first_example_is_kept() -> None:
    ledger = Ledger()
    for question in ("first", "second"):
        ledger.read("math", "s", "")
        ledger.drop_task(task(question=question), "near copy")
    (line,) = ledger.as_list(("math",))
    assert (line["dropped"], line["examples"]) == ({"near copy": 2}, {"near copy": "first"})


def test_percentiles_are_values_that_occur() -> None:
    assert percentiles([]) == {}
    assert percentiles([5]) == {"p50": 5, "p95": 5, "max": 5}
    assert percentiles(list(range(1, 101))) == {"p50": 51, "p95": 96, "max": 100}
