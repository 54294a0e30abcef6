"""The steps of curation, one by one: what falls out, for which reason, and what must not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from thinkaloud.data.curate import (
    cap,
    check_answers,
    drop_contaminated,
    drop_copies,
    fit_tokens,
    split_by_hash,
)
from thinkaloud.data.decontaminate import Contamination
from thinkaloud.data.ledger import Ledger
from thinkaloud.domains import BUILTIN
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import byte_tokenizer
from thinkaloud.records import Task

CONTRACT = PromptContract.build(byte_tokenizer(), template="gemma", system="S")


def quiet(done: int, total: int, what: str) -> None:
    assert done >= 0
    assert what


def task(question: str, split: str = "train", **fields: object) -> Task:
    made = Task(id=question, domain="math", source="own", question=question, answer="4", split=split)
    return replace(made, **fields)  # type: ignore[arg-type]


def questions(found: list[Task]) -> list[str]:
    return [task.question for task in found]


class TestTokens:
    def fit(self, *found: Task, prompt: int, new: int = 10_000) -> tuple[list[Task], Ledger]:
        ledger = Ledger()
        kept = fit_tokens(
            found, ledger, CONTRACT, max_prompt_tokens=prompt, max_new_tokens=new, registry=BUILTIN, progress=quiet
        )
        return kept, ledger

    def test_the_whole_prompt_counts_to_the_token(self) -> None:
        length = len(CONTRACT.encode("What is 2 + 2?"))
        kept, ledger = self.fit(task("What is 2 + 2?"), task("What is 22 + 2?"), prompt=length)
        assert questions(kept) == ["What is 2 + 2?"]
        ledger.read(kept[0])
        ledger.read(task("What is 22 + 2?"))
        ledger.keep(kept[0])
        (line,) = ledger.as_list(("math",))
        assert line["prompt_tokens"]["max"] == length
        assert ledger.reasons() == {f"prompt over {length} tokens": 1}

    def test_a_gold_answer_that_does_not_fit_is_no_task(self) -> None:
        fits = len(CONTRACT.encode_completion("-", "4"))
        kept, ledger = self.fit(task("a"), task("b", answer="44"), prompt=1000, new=fits)
        assert questions(kept) == ["a"]
        assert ledger.reasons() == {f"answer over {fits} tokens": 1}

    def test_graded_references_may_be_longer_than_the_limit(self) -> None:
        kept, _ = self.fit(task("a", domain="creative_writing", answer="word " * 99), prompt=1000, new=60)
        assert len(kept) == 1

    def test_a_rationale_that_does_not_fit_is_set_aside_whole(self) -> None:
        fits = len(CONTRACT.encode_completion("add", "4"))
        kept, ledger = self.fit(task("a", rationale="add"), task("b", rationale="adds"), prompt=1000, new=fits)
        assert [task.rationale for task in kept] == ["add", ""]
        assert dict(ledger.line("math", "own").notes) == {f"rationale over {fits} tokens set aside": 1}
        assert ledger.reasons() == {}


class TestGold:
    def test_wrong_gold_answers_are_dropped_by_reason(self) -> None:
        ledger = Ledger()
        found = [
            task("What is 2 + 2?"),
            task("Is it?", domain="science", answer="c", choices=("a", "b")),
            task("Write.", domain="creative_writing", answer="anything"),
            task("Is it so?", domain="logic", answer="maybe", source="starter"),
        ]
        kept = check_answers(found, ledger, CONTRACT, sandbox=None, registry=BUILTIN, progress=quiet)
        assert sorted(questions(kept)) == [
            "Is it so?",
            "What is 2 + 2?",
            "Write.",
        ]
        (reason,) = ledger.reasons()
        assert reason.startswith("gold answer ")


class TestCopies:
    def drop(self, *found: Task, threshold: float = 0.0) -> tuple[list[str], dict[str, int]]:
        ledger = Ledger()
        return questions(
            drop_copies(found, ledger, threshold=threshold, registry=BUILTIN, progress=quiet)
        ), ledger.reasons()

    def test_what_is_held_out_stays(self) -> None:
        kept, reasons = self.drop(task("How many?"), task("how  MANY", "validation"))
        assert kept == ["how  MANY"]
        assert reasons == {"exact copy": 1}

    def test_another_gold_answer_is_a_conflict_in_verifiable_domains(self) -> None:
        kept, reasons = self.drop(task("How many?", answer="3"), task("How many?", answer="4"))
        assert kept == ["How many?"]
        assert reasons == {"another gold answer to the same question": 1}
        stories = (task("Write.", domain="creative_writing", answer=text) for text in ("One.", "Two."))
        assert self.drop(*stories)[1] == {"exact copy": 1}

    def test_other_options_make_another_task(self) -> None:
        kept, reasons = self.drop(
            task("Which?", choices=("a", "b")),
            task("Which? ", choices=("B", "A")),
            task("Which?  ", choices=("a", "c")),
            task("which", choices=()),
        )
        assert kept == ["Which?", "Which?  "]
        assert reasons == {"exact copy": 2}

    def test_domains_do_not_see_each_other(self) -> None:
        kept, _ = self.drop(task("Red"), task("red", domain="creative_writing"))
        assert len(kept) == 2

    def test_near_copies_only_where_asked_for(self) -> None:
        long = "A train leaves the station at noon and travels sixty miles every hour; how far is it by the evening of"
        pair = task(f"{long} that day?"), task(f"{long} this day?")
        assert self.drop(*pair)[1] == {}
        kept, reasons = self.drop(*pair, threshold=0.8)
        assert kept == [f"{long} that day?"]
        assert reasons == {"near copy": 1}
        trusted = [replace(own, source="generated") for own in pair]
        assert len(self.drop(*trusted, threshold=0.8)[0]) == 2


def test_tasks_of_an_evaluation_set_are_dropped_under_its_name() -> None:
    ledger = Ledger()
    words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    sets = {"gsm8k:test": Contamination([words])}
    kept = drop_contaminated([task(f"Now: {words.upper()}!"), task("What else?")], ledger, sets, quiet)
    assert questions(kept) == ["What else?"]
    assert ledger.reasons() == {"in evaluation set gsm8k:test": 1}
    generated = replace(task(f"Now: {words}"), source="generated-new-templates")
    assert drop_contaminated([generated], ledger, sets, quiet) == [generated]


class TestSplits:
    def test_shares_are_met_and_copies_share_a_split(self) -> None:
        found = [task(f"Question number {i}?") for i in range(4000)]
        split = split_by_hash(found, validation_share=0.05, test_share=0.1)
        counts = {name: sum(own.split == name for own in split) for name in ("train", "validation", "test")}
        assert counts["test"] == pytest.approx(400, abs=60)
        assert counts["validation"] == pytest.approx(200, abs=45)
        again = split_by_hash(
            [task(f"QUESTION number {i}") for i in range(4000)], validation_share=0.05, test_share=0.1
        )
        assert [own.split for own in again] == [own.split for own in split]

    def test_held_out_rows_never_train(self) -> None:
        found = [task(f"Question {i}", split) for i in range(50) for split in ("validation", "test")]
        split = split_by_hash(found, validation_share=0.0, test_share=0.0)
        assert split == found
        assert {own.split for own in split} == {"validation", "test"}

    def test_a_larger_share_only_adds(self) -> None:
        found = [task(f"Question number {i}?") for i in range(500)]
        small, large = (
            {own.id for own in split_by_hash(found, validation_share=0.0, test_share=share) if own.split == "test"}
            for share in (0.05, 0.2)
        )
        assert small < large


class TestCaps:
    def test_caps_train_only_and_do_not_depend_on_the_order(self) -> None:
        found = [task(f"Q{i}") for i in range(20)] + [task("held", "test")]
        ledger = Ledger()
        kept = cap(found, ledger, {("own", "math"): 5})
        assert len(kept) == 6
        assert kept[-1].question == "held"
        assert ledger.reasons() == {"over the cap of 5": 15}
        backwards = cap(found[::-1], Ledger(), {("own", "math"): 5})
        assert set(questions(backwards)) == set(questions(kept))

    def test_without_a_cap_all_stay(self) -> None:
        found = [task(f"Q{i}") for i in range(20)]
        assert cap(found, Ledger(), {("other", "math"): 5}) == found
