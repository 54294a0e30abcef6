"""The pool of a recipe, built from small files: counts, splits, copies, and the same bytes again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from thinkaloud.config import Recipe
from thinkaloud.config.load import parse_recipe
from thinkaloud.data import Pool
from thinkaloud.data.build import build_pool, place_pool, pool_settings
from thinkaloud.errors import UserError
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import byte_tokenizer

CONTRACT = PromptContract.build(byte_tokenizer(), template="gemma")
SUMS = [
    {
        "question": f"Tom has {a} apples and buys {b} more. How many apples?",
        "answer": f"{a}+{b}=<<{a}+{b}={a + b}>>{a + b}\n#### {a + b}",
    }
    for a in range(2, 12)
    for b in range(3, 9)
]


def rows(path: Path, values: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(value) + "\n" for value in values), "utf-8")
    return path


def recipe(**data: Any) -> Recipe:
    return parse_recipe(
        {"name": "r", "model": "tiny", "data": data, "rollout": {"max_prompt_tokens": 900, "max_new_tokens": 600}}
    )


def build(tmp_path: Path, where: str = "pool", **data: Any) -> Pool:
    return build_pool(recipe(**data), CONTRACT, tmp_path / where)


def line(pool: Pool, source: str) -> dict[str, Any]:
    (found,) = [line for line in pool.record["lines"] if line["source"] == source]
    return found


def test_rows_are_mapped_counted_and_split(tmp_path: Path) -> None:
    bad = [{"question": "How many?", "answer": "I do not know"}, SUMS[0]]
    rows(tmp_path / "d/gsm8k/train.jsonl", [*SUMS, *bad])
    pool = build(tmp_path, sources={"gsm8k": {}}, dir=str(tmp_path / "d"))
    account = line(pool, "gsm8k")
    assert account["read"] == len(SUMS) + 2
    assert account["dropped"]["exact copy"] == 1
    assert sum(account["dropped"].values()) == 2
    assert sum(account["kept"].values()) == len(SUMS)
    assert pool.counts()["math"] == account["kept"]
    assert account["license"] == "MIT"
    task = next(iter(pool.split("train")))
    assert "<<" not in task.rationale
    assert task.answer.isdecimal()
    assert pool.record["sources"]["gsm8k"]


def test_two_builds_give_the_same_bytes_and_a_third_replaces_them(tmp_path: Path) -> None:
    rows(tmp_path / "d/gsm8k/train.jsonl", SUMS)
    for where in ("one", "two"):
        build(tmp_path, where, sources={"gsm8k": {}, "starter": {}}, dir=str(tmp_path / "d"))
    files = sorted(file.name for file in (tmp_path / "one").iterdir())
    assert {"pool.json", "tasks.arrow", "tasks.parquet"} <= set(files)
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    smaller = build(tmp_path, "two", sources={"gsm8k": {"cap": 3}}, dir=str(tmp_path / "d"))
    assert smaller.counts()["math"]["train"] == 3
    assert sorted(file.name for file in (tmp_path / "two").iterdir()) == files


def test_a_domain_of_one_s_own_without_code(tmp_path: Path) -> None:
    quiz = [{"q": f"Which city is number {i} of the list of cities in my book?", "a": f"City {i}"} for i in range(30)]
    path = rows(tmp_path / "quiz.jsonl", quiz)
    mine = {"path": str(path), "domain": "geography", "scored_as": "science", "question": "q", "answer": "a"}
    pool = build(tmp_path, sources={"mine": mine, "starter": {}}, domains=["math", "geography"], near_duplicates=0.0)
    assert list(pool.counts()) == ["math", "geography"]
    assert sum(pool.counts()["geography"].values()) == 30
    assert {task.domain for task in pool.split("train")} == {"math", "geography"}


def test_what_cannot_be_had_fails_by_name_unless_optional(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(UserError, match=r"gsm8k.*; or mark sources\.gsm8k with optional = true"):
        build(tmp_path, sources={"gsm8k": {}, "starter": {}}, dir=str(tmp_path / "d"))
    assert not (tmp_path / "pool").exists()
    notes: list[str] = []
    pool = build_pool(
        recipe(sources={"gsm8k": {"optional": True}, "starter": {}}, dir=str(tmp_path / "d")),
        CONTRACT,
        tmp_path / "pool",
        note=notes.append,
    )
    assert "gsm8k" in pool.record["missing"]
    assert "gsm8k" in notes[0]
    assert all(line["source"] == "starter" for line in pool.record["lines"])


def test_evaluation_sets_are_kept_out_of_training(tmp_path: Path) -> None:
    rows(tmp_path / "d/gsm8k/train.jsonl", SUMS)
    known = rows(tmp_path / "known.jsonl", [{"question": row["question"]} for row in SUMS[:7]])
    pool = build(tmp_path, sources={"gsm8k": {}}, dir=str(tmp_path / "d"), evaluation_sets=[str(known)])
    assert line(pool, "gsm8k")["dropped"] == {f"in evaluation set {known}": 7}
    with pytest.raises(UserError, match=r"'gsm9k:test'.*'gsm8k'"):
        build(tmp_path, sources={"gsm8k": {}}, dir=str(tmp_path / "d"), evaluation_sets=["gsm9k:test"])


def test_an_evaluation_set_that_is_missing_is_named_before_any_work(tmp_path: Path) -> None:
    rows(tmp_path / "d/gsm8k/train.jsonl", SUMS)
    asked = recipe(sources={"gsm8k": {}}, dir=str(tmp_path / "d"), evaluation_sets=["gsm8k:test"])
    seen: list[str] = []
    with pytest.raises(UserError, match=r"data\.evaluation_sets: 'gsm8k:test'.*split 'test'.*found train.*drop it"):
        build_pool(asked, CONTRACT, tmp_path / "pool", progress=lambda done, total, what: seen.append(what))
    assert seen == []


def test_a_file_in_the_place_of_the_pool_is_refused(tmp_path: Path) -> None:
    rows(tmp_path / "d/gsm8k/train.jsonl", SUMS)
    (tmp_path / "pool").write_text("not a pool")
    with pytest.raises(UserError, match="expected a folder"):
        build(tmp_path, sources={"gsm8k": {}}, dir=str(tmp_path / "d"))
    assert (tmp_path / "pool").read_text() == "not a pool"


def test_the_account_notes_labels_that_were_read_as_yes_and_no(tmp_path: Path) -> None:
    claims = [{"question": f"Is {n} greater than 7?", "answer": "T" if n > 7 else "F"} for n in range(5, 10)]
    mine = {"path": str(rows(tmp_path / "claims.jsonl", claims)), "domain": "logic"}
    pool = build(tmp_path, sources={"mine": mine}, domains=["logic"], validation_share=0.0, test_share=0.0)
    assert line(pool, "mine")["notes"] == {"label 'F' read as no": 3, "label 'T' read as yes": 2}
    assert {task.answer for task in pool.by_domain("train")["logic"]} == {"yes", "no"}


def test_a_domain_without_tasks_is_an_error_that_counts_them(tmp_path: Path) -> None:
    rows(tmp_path / "d/gsm8k/train.jsonl", [{"question": "x " * 600, "answer": "#### 3"}])
    with pytest.raises(UserError, match=r"'math' .*1 rows: prompt over 900 tokens .*max_prompt_tokens"):
        build(tmp_path, sources={"gsm8k": {}}, dir=str(tmp_path / "d"))
    with pytest.raises(UserError, match="'logic'"):
        build(tmp_path, sources={"gsm8k": {}}, dir=str(tmp_path / "d"), domains=["logic"])


def test_no_generated_task_is_dropped_from_a_large_pool(tmp_path: Path) -> None:
    pool = build(tmp_path, generated={"math": 1500, "logic": 800}, generated_held_out={"math": 250, "logic": 100})
    kept = {(row["domain"], row["source"]): row["kept"] for row in pool.record["lines"] if row["source"] != "starter"}
    assert kept == {
        ("math", "generated"): {"train": 1500, "validation": 250, "test": 250},
        ("math", "generated-new-templates"): {"train": 0, "validation": 0, "test": 250},
        ("logic", "generated"): {"train": 800, "validation": 100, "test": 100},
        ("logic", "generated-new-templates"): {"train": 0, "validation": 0, "test": 100},
    }


def test_settings_tell_pools_apart() -> None:
    base = pool_settings(recipe(), CONTRACT)
    assert base == pool_settings(recipe(), CONTRACT)
    assert base != pool_settings(recipe(generated={"math": 3}), CONTRACT)
    assert json.loads(json.dumps(base)) == base


def test_with_a_seed_of_its_own_the_pool_is_the_same_for_every_seed_of_the_recipe(tmp_path: Path) -> None:
    rows(tmp_path / "d/gsm8k/train.jsonl", SUMS)
    own = recipe(sources={"gsm8k": {}}, dir=str(tmp_path / "d"), generated={"math": 4})
    data = own.data.model_copy(update={"seed": 0})
    recipes = {
        "first": own,
        "fixed": own.model_copy(update={"seed": 1, "data": data}),
        "other": own.model_copy(update={"seed": 1}),
    }
    pools = {name: build_pool(one, CONTRACT, tmp_path / name) for name, one in recipes.items()}
    ids = {name: [task.id for task in pool.by_domain("train")["math"]] for name, pool in pools.items()}
    assert ids["fixed"] == ids["first"]
    assert set(ids["other"]) != set(ids["first"]), "other generated tasks"
    settings = {name: pool_settings(one, CONTRACT) for name, one in recipes.items()}
    assert settings["fixed"] == settings["first"] != settings["other"]


def test_a_given_pool_is_linked_unless_its_settings_or_bytes_differ(tmp_path: Path) -> None:
    built = build(tmp_path, sources={"a": {"path": str(rows(tmp_path / "a.jsonl", SUMS)), "domain": "math"}})
    given, same = tmp_path / "pool", recipe(sources={"a": {"path": str(tmp_path / "a.jsonl"), "domain": "math"}})
    placed = place_pool(same, CONTRACT, tmp_path / "run", given=given)
    assert list(placed.tasks) == list(built.tasks)
    with pytest.raises(UserError, match=r"other settings \(.*test_share.*remove --pool"):
        place_pool(recipe(test_share=0.3), CONTRACT, tmp_path / "b", given=given)
    changed = bytearray((given / "tasks.arrow").read_bytes())
    changed[len(changed) // 2] ^= 1
    (given / "tasks.arrow").unlink()  # the run's file is a link to it
    (given / "tasks.arrow").write_bytes(changed)
    with pytest.raises(UserError, match=r"tasks\.arrow was changed"):
        place_pool(same, CONTRACT, tmp_path / "c", given=given)
    assert not (tmp_path / "b").exists()
    assert not (tmp_path / "c").exists()
