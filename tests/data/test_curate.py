"""The steps of curation, one by one: what falls out, for which reason, and what must not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from thinkaloud.data.curate import (
    Candidate,
    cap,
    check_answers,
    drop_contaminated,
    drop_copies,
    fit_tokens,
    split_by_hash,
)
from thinkaloud.data.decontaminate import Contamination
from thinkaloud.data.ledger import Ledger
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import byte_tokenizer
from thinkaloud.records import Task

CONTRACT = PromptContract.build(byte_tokenizer(), template="gemma", system="S")


def quiet(done: int, total: int, what: str) -> None:
    assert done >= 0
    assert what


def candidate(question: str, role: str = "train", **fields: object) -> Candidate:
    task = Task(id=question, domain="math", source="own", question=question, answer="4", split=role)
    return Candidate(replace(task, **fields), question, role)  # type: ignore[arg-type]


def questions(found: list[Candidate]) -> list[str]:
    return [c.task.question for c in found]


class TestTokens:
    def fit(self, *found: Candidate, prompt: int, new: int = 10_000) -> tuple[list[Candidate], Ledger]:
        ledger = Ledger()
        kept = fit_tokens(found, ledger, CONTRACT, max_prompt_tokens=prompt, max_new_tokens=new, progress=quiet)
        return kept, ledger

    def test_the_whole_prompt_counts_to_the_token(self) -> None:
        length = len(CONTRACT.encode("What is 2 + 2?"))
        kept, ledger = self.fit(candidate("What is 2 + 2?"), candidate("What is 22 + 2?"), prompt=length)
        assert questions(kept) == ["What is 2 + 2?"]
        assert kept[0].prompt_tokens == length
        assert ledger.reasons() == {f"prompt over {length} tokens": 1}

    def test_a_gold_answer_that_does_not_fit_is_no_task(self) -> None:
        fits = len(CONTRACT.encode_completion("-", "4"))
        kept, ledger = self.fit(candidate("a"), candidate("b", answer="44"), prompt=1000, new=fits)
        assert questions(kept) == ["a"]
        assert ledger.reasons() == {f"answer over {fits} tokens": 1}

    def test_graded_references_may_be_longer_than_the_limit(self) -> None:
        kept, _ = self.fit(candidate("a", domain="creative_writing", answer="word " * 99), prompt=1000, new=60)
        assert len(kept) == 1

    def test_a_rationale_that_does_not_fit_is_set_aside_whole(self) -> None:
        fits = len(CONTRACT.encode_completion("add", "4"))
        kept, ledger = self.fit(
            candidate("a", rationale="add"), candidate("b", rationale="adds"), prompt=1000, new=fits
        )
        assert [c.task.rationale for c in kept] == ["add", ""]
        assert dict(ledger.line("math", "own").notes) == {f"rationale over {fits} tokens set aside": 1}
        assert ledger.reasons() == {}


class TestGold:
    def test_wrong_gold_answers_are_dropped_by_reason(self) -> None:
        ledger = Ledger()
        found = [
            candidate("What is 2 + 2?"),
            candidate("Is it?", domain="science", answer="c", choices=("a", "b")),
            candidate("Write.", domain="creative_writing", answer="anything"),
            candidate("Is it so?", domain="logic", answer="maybe", source="starter"),
        ]
        kept = check_answers(found, ledger, CONTRACT, sandbox=None, progress=quiet)
        assert sorted(questions(kept)) == [
            "Is it so?",
            "What is 2 + 2?",
            "Write.",
        ]
        (reason,) = ledger.reasons()
        assert reason.startswith("gold answer ")


class TestCopies:
    def drop(self, *found: Candidate, threshold: float = 0.0) -> tuple[list[str], dict[str, int]]:
        ledger = Ledger()
        return questions(drop_copies(found, ledger, threshold=threshold, progress=quiet)), ledger.reasons()

    def test_what_is_held_out_stays(self) -> None:
        kept, reasons = self.drop(candidate("How many?"), candidate("how  MANY", "validation"))
        assert kept == ["how  MANY"]
        assert reasons == {"exact copy": 1}

    def test_other_options_make_another_task(self) -> None:
        kept, reasons = self.drop(
            candidate("Which?", choices=("a", "b")),
            candidate("Which? ", choices=("B", "A")),
            candidate("Which?  ", choices=("a", "c")),
            candidate("which", choices=()),
        )
        assert kept == ["Which?", "Which?  "]
        assert reasons == {"exact copy": 2}

    def test_domains_do_not_see_each_other(self) -> None:
        kept, _ = self.drop(candidate("Red"), candidate("red", domain="creative_writing"))
        assert len(kept) == 2

    def test_near_copies_only_where_asked_for(self) -> None:
        long = "A train leaves the station at noon and travels sixty miles every hour; how far is it by the evening of"
        pair = candidate(f"{long} that day?"), candidate(f"{long} this day?")
        assert self.drop(*pair)[1] == {}
        kept, reasons = self.drop(*pair, threshold=0.8)
        assert kept == [f"{long} that day?"]
        assert reasons == {"near copy": 1}
        trusted = [replace(c, task=replace(c.task, source="generated")) for c in pair]
        assert len(self.drop(*trusted, threshold=0.8)[0]) == 2


def test_tasks_of_an_evaluation_set_are_dropped_under_its_name() -> None:
    ledger = Ledger()
    words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    sets = {"gsm8k:test": Contamination([words])}
    kept = drop_contaminated([candidate(f"Now: {words.upper()}!"), candidate("What else?")], ledger, sets, quiet)
    assert questions(kept) == ["What else?"]
    assert ledger.reasons() == {"in evaluation set gsm8k:test": 1}


class TestSplits:
    def test_shares_are_met_and_copies_share_a_split(self) -> None:
        found = [candidate(f"Question number {i}?") for i in range(4000)]
        split = split_by_hash(found, validation_share=0.05, test_share=0.1)
        counts = {name: sum(c.task.split == name for c in split) for name in ("train", "validation", "test")}
        assert counts["test"] == pytest.approx(400, abs=60)
        assert counts["validation"] == pytest.approx(200, abs=45)
        again = split_by_hash(
            [candidate(f"QUESTION number {i}") for i in range(4000)], validation_share=0.05, test_share=0.1
        )
        assert [c.task.split for c in again] == [c.task.split for c in split]

    def test_held_out_rows_never_train(self) -> None:
        found = [candidate(f"Question {i}", role) for i in range(50) for role in ("validation", "test")]
        split = split_by_hash(found, validation_share=0.0, test_share=0.0)
        assert [c.task.split for c in split] == [c.role for c in found]

    def test_a_larger_share_only_adds(self) -> None:
        found = [candidate(f"Question number {i}?") for i in range(500)]
        small, large = (
            {c.key for c in split_by_hash(found, validation_share=0.0, test_share=share) if c.task.split == "test"}
            for share in (0.05, 0.2)
        )
        assert small < large


class TestCaps:
    def test_caps_train_only_and_do_not_depend_on_the_order(self) -> None:
        found = [candidate(f"Q{i}") for i in range(20)] + [candidate("held", "test")]
        ledger = Ledger()
        kept = cap(found, ledger, {("own", "math"): 5})
        assert len(kept) == 6
        assert kept[-1].task.question == "held"
        assert ledger.reasons() == {"over the cap of 5": 15}
        backwards = cap(found[::-1], Ledger(), {("own", "math"): 5})
        assert set(questions(backwards)) == set(questions(kept))

    def test_without_a_cap_all_stay(self) -> None:
        found = [candidate(f"Q{i}") for i in range(20)]
        assert cap(found, Ledger(), {("other", "math"): 5}) == found
