"""`thinkaloud init` on files of many kinds: the recipe builds a pool with the right golds; bad files get one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.cli import Run
from support.data_files import csv_text, json_lines, sums, write_parquet
from thinkaloud.config import Recipe, load_recipe
from thinkaloud.data.build import build_pool
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.records import Task

SUMS = sums()
GOLDS = {question: str(total) for question, total in SUMS}
TINY = ("--model", "tiny")


@pytest.fixture
def made(run: Run, tmp_path: Path) -> Callable[..., tuple[Recipe, list[Task], str]]:
    """Write a recipe for a file in the working folder: the recipe, the tasks of its pool, and the summary."""

    def make(name: str, *flags: str) -> tuple[Recipe, list[Task], str]:
        ended = run("init", name, *TINY, "--out", "own.toml", *flags)
        assert (ended.code, ended.err) == (0, "")
        recipe = load_recipe(Path("own.toml"))
        pool = build_pool(recipe, open_contract(recipe)[1], tmp_path / "pool")
        return recipe, list(pool.tasks), ended.out

    return make


Made = Callable[..., tuple[Recipe, list[Task], str]]


def golds(tasks: list[Task]) -> dict[str, str]:
    return {task.question: task.answer for task in tasks}


def only(recipe: Recipe) -> Any:
    (source,) = recipe.data.sources.values()
    return source


def test_csv_with_semicolons_and_a_legacy_encoding(made: Made, tmp_path: Path) -> None:
    rows = [{"Nr": n, "Frage": f"Grüße: {question}", "Lösung": total} for n, (question, total) in enumerate(SUMS)]
    (tmp_path / "laden.csv").write_bytes(csv_text(rows, ";").encode("cp1252"))
    recipe, tasks, shown = made("laden.csv")
    source = only(recipe)
    assert (source.encoding, source.scored_as, source.question, source.answer) == ("cp1252", "math", "Frage", "Lösung")
    assert golds(tasks) == {f"Grüße: {question}": gold for question, gold in GOLDS.items()}
    assert "cp1252" in shown
    assert recipe.cold_start.source == "self"


def test_tsv_in_utf_16_without_usual_names(made: Made, tmp_path: Path) -> None:
    rows = [{"row": n + 1, "ask me": question, "it is": total} for n, (question, total) in enumerate(SUMS)]
    (tmp_path / "sums.tsv").write_bytes(csv_text(rows, "\t").encode("utf-16"))
    recipe, tasks, _ = made("sums.tsv")
    assert (only(recipe).question, only(recipe).answer, only(recipe).encoding) == ("ask me", "it is", None)
    assert golds(tasks) == GOLDS


def test_a_json_array_with_rationales(made: Made, tmp_path: Path) -> None:
    rows = [{"Question": q, "Correct Answer": a, "Explanation": f"Add: {a}."} for q, a in SUMS]
    (tmp_path / "sums.json").write_text(json.dumps(rows, indent=1))
    recipe, tasks, shown = made("sums.json")
    assert only(recipe).rationale == "Explanation"
    assert recipe.cold_start.source == "data"
    assert golds(tasks) == GOLDS
    assert {task.rationale for task in tasks} == {f"Add: {a}." for _, a in SUMS}
    assert "40 rationales" not in shown  # held-out tasks are not counted


def test_json_lines_with_the_answer_after_a_mark(made: Made, tmp_path: Path) -> None:
    rows = [{"question": q, "answer": f"We add them up: {a}.\n#### {a}"} for q, a in SUMS]
    (tmp_path / "sums.jsonl").write_text(json_lines(rows))
    recipe, tasks, _ = made("sums.jsonl")
    assert (only(recipe).answer_after, only(recipe).scored_as) == ("####", "math")
    assert golds(tasks) == GOLDS
    assert all(task.rationale == f"We add them up: {task.answer}." for task in tasks)


@pytest.mark.parametrize("key", ["messages", "conversations"])
def test_chats(made: Made, tmp_path: Path, key: str) -> None:
    names = ("role", "content", "user", "assistant") if key == "messages" else ("from", "value", "human", "gpt")
    rows = [{key: [{names[0]: names[2], names[1]: q}, {names[0]: names[3], names[1]: str(a)}]} for q, a in SUMS]
    (tmp_path / "chats.jsonl").write_text(json_lines(rows))
    recipe, tasks, shown = made("chats.jsonl")
    assert golds(tasks) == GOLDS
    assert only(recipe).scored_as == "math"
    assert f"last user turn of '{key}'" in shown


@pytest.mark.parametrize("form", ["list", "object", "python", "columns", "from zero"])
def test_options_of_every_form(made: Made, tmp_path: Path, form: str) -> None:
    rows: list[dict[str, Any]] = []
    for n, (question, total) in enumerate(SUMS):
        options = [str(total + 1), str(total + 2), str(total + 3)]
        options.insert(n % 4, str(total))
        answer: Any = n % 4 if form == "from zero" else "ABCD"[n % 4]
        given: dict[str, Any] = {
            "list": {"options": options},
            "from zero": {"choices": options},
            "object": {"choices": {"text": options, "label": list("ABCD")}},
            "python": {"options": repr(options)},
            "columns": dict(zip(("option_a", "option_b", "option_c", "option_d"), options, strict=True)),
        }[form]
        rows.append({"question": question, **given, "answer": answer})
    if form in ("python", "columns"):
        (tmp_path / "quiz.csv").write_text(csv_text(rows))
    else:
        write_parquet(tmp_path / "quiz.parquet", rows)
    recipe, tasks, _ = made("quiz.csv" if form in ("python", "columns") else "quiz.parquet")
    assert only(recipe).scored_as == "science"
    assert {task.question.partition("\n")[0]: task.answer for task in tasks} == GOLDS
    assert all(len(task.choices) == 4 for task in tasks)


def test_yes_and_no_as_labels(made: Made, tmp_path: Path) -> None:
    rows = [{"claim": f"{q[:-9]}, so {a} in all", "label": a % 3 > 0} for q, a in SUMS]
    (tmp_path / "claims.csv").write_text(csv_text([row | {"label": int(row["label"])} for row in rows]))
    recipe, tasks, shown = made("claims.csv", "--question", "claim")
    assert only(recipe).scored_as == "logic"
    assert golds(tasks) == {row["claim"]: "yes" if row["label"] else "no" for row in rows}
    assert "0 or 1: yes and no" in shown


def test_short_texts(made: Made, tmp_path: Path) -> None:
    names = ("Ann", "Bob Lee", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hal", "Iris", "Jo")
    rows = [{"query": f"Who owns what this says? {q}", "response": names[n % 10]} for n, (q, _) in enumerate(SUMS)]
    (tmp_path / "people.csv").write_text(csv_text(rows))
    recipe, tasks, _ = made("people.csv")
    assert only(recipe).scored_as == "science"
    assert golds(tasks) == {row["query"]: row["response"] for row in rows}


def test_sentences_are_compared_with_the_gold_answer(made: Made, tmp_path: Path) -> None:
    rows = [
        {
            "instruction": "Explain why.",
            "input": q,
            "output": f"Because both parts are counted together, giving {a} of them.",
        }
        for q, a in SUMS
    ]
    (tmp_path / "why.jsonl").write_text(json_lines(rows))
    recipe, tasks, shown = made("why.jsonl")
    assert (only(recipe).scored_as, only(recipe).context) == ("reference", "input")
    assert golds(tasks) == {f"{row['input']}\n\nExplain why.": row["output"] for row in rows}
    assert "longer texts" in shown


def test_code_with_tests(made: Made, tmp_path: Path) -> None:
    rows = [
        {
            "text": f"Write f that adds {n}. {q}",
            "code": f"def f(x):\n    return x + {n}",
            "test_list": [f"assert f(1) == {n + 1}"],
        }
        for n, (q, _) in enumerate(SUMS)
    ]
    write_parquet(tmp_path / "code.parquet", rows)
    recipe, tasks, _ = made("code.parquet", "--question", "text", "--answer", "code")
    assert only(recipe).scored_as == "coding"
    assert len(tasks) == len(rows)
    assert {task.tests for task in tasks} == {(row["test_list"][0],) for row in rows}


def test_the_example_of_the_docs(made: Made, tmp_path: Path) -> None:
    import runpy

    folder = Path(__file__).parents[2] / "examples" / "own_data"
    script = runpy.run_path(str(folder / "make_shop.py"))
    script["write"](tmp_path / "shop.csv")
    assert (tmp_path / "shop.csv").read_bytes() == (folder / "shop.csv").read_bytes()
    recipe, tasks, shown = made("shop.csv")
    expected = {row["question"]: row["answer"] for row in script["rows"]()}
    assert len(expected) == 200
    assert golds(tasks).items() <= expected.items()
    assert len(tasks) == 198
    assert "2: near copy" in shown
    text = Path("own.toml").read_text("utf-8")
    assert "200 rows read, 198 tasks kept" in text
    counts = {split: sum(task.split == split for task in tasks) for split in ("train", "validation", "test")}
    assert f"({counts['train']} train, {counts['validation']} validation, {counts['test']} test)" in text
    assert recipe.data.test_share == 0.2


def test_flags_change_every_guess(made: Made, tmp_path: Path) -> None:
    rows = [{"a note": "n", "question": q, "answer": a, "why": "So.", "gold": f"{a} kg"} for q, a in SUMS]
    (tmp_path / "sums.csv").write_text(csv_text(rows))
    assert only(made("sums.csv")[0]).answer == "gold"
    recipe, tasks, _ = made("sums.csv", "--answer", "answer", "--domain", "science", "--rationale", "", "--force")
    source = only(recipe)
    assert (source.answer, source.scored_as, source.rationale) == ("answer", "science", None)
    assert golds(tasks) == GOLDS


def test_the_first_check_says_what_is_dropped_and_what_is_doubtful(run: Run, tmp_path: Path) -> None:
    rows = [{"question": q, "answer": "4,50" if n % 2 else "7"} for n, (q, _) in enumerate(SUMS)]
    rows += [{"question": "", "answer": "7"}, {"question": "Nothing?", "answer": ""}, rows[0]]
    (tmp_path / "sums.csv").write_text(csv_text(rows))
    shown = run("init", "sums.csv", *TINY).out
    text = Path("sums.toml").read_text("utf-8")
    for words in ("no question", "no answer", "exact copy", "decimal commas ('4,50')", "40 tasks are few"):
        assert words in shown
        assert words in text
    assert "43 rows read, 40 tasks kept" in text


def test_an_existing_recipe_is_kept_without_force(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sums.csv").write_text(csv_text([{"question": q, "answer": a} for q, a in SUMS]))
    (tmp_path / "sums.toml").write_text("mine")
    assert "--force" in run("init", "sums.csv", *TINY).mistake
    assert (tmp_path / "sums.toml").read_text() == "mine"
    ended = run("init", "sums.csv", *TINY, "--force", "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["scored_as"] == "math"
    assert load_recipe(tmp_path / "sums.toml").name == "sums"


def test_limits_follow_the_lengths_with_and_without_the_tokenizer(run: Run, tmp_path: Path) -> None:
    rows = [{"question": q + " Word." * 100, "answer": a} for q, a in SUMS]
    (tmp_path / "sums.csv").write_text(csv_text(rows))
    assert run("init", "sums.csv", *TINY).code == 0
    counted = load_recipe(Path("sums.toml")).rollout
    longest = max(len(row["question"].encode()) for row in rows)
    assert longest < counted.max_prompt_tokens < 2 * longest  # the tiny model has one token per byte
    assert run("init", "sums.csv", "--model", "hub:nobody/nothing", "--force").code == 0
    estimated = load_recipe(Path("sums.toml")).rollout
    assert longest // 3 < estimated.max_prompt_tokens < longest
    assert "estimated" in Path("sums.toml").read_text("utf-8")


BAD = {
    "empty.csv": (b"", "empty"),
    "blank.jsonl": (b"\n\n  \n", "empty"),
    "header.csv": (b"question,answer\n", "found none"),
    "sheet.csv": (b"PK\x03\x04" + b"\0" * 99, "Excel"),
    "noise.csv": (bytes(range(256)) * 40, "binary"),
    "one.csv": (b"question\nWhat?\nWhy?\n", "two columns"),
    "no-answer.csv": (b"id,question,topic\n1,What?,x\n2,Why?,y\n", "--answer"),
    "twice.csv": (b"question,answer,answer\nWhat?,1,2\n", "'answer' twice"),
    "no-header.csv": (b"What is 1 + 1?,2\nWhat is 2 + 2?,4\nWhat is 3 + 3?,6\n", "column names"),
    "long.jsonl": (b'{"question": "' + b"x" * (33 << 20) + b'", "answer": "1"}\n', "line over 32 MiB"),
    "long.csv": (b"question," + b"x" * (33 << 20) + b"\n1,2\n", "column names"),
    "broken.json": (b'[{"question": "What?"', "JSON array"),
    "broken.jsonl": (b"question: what\n" * 9, "not JSON"),
    "broken.parquet": (b"PAR1 and more", "Parquet"),
    "rows.txt": (b"question,answer\nWhat?,1\n", "rename"),
    "quiz-test.csv": (b"question,answer\nWhat?,1\n", "never trained on"),
    "refused.csv": (b"question,answer\nWhat?,\nWhy?,\n", "--answer"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_used_gets_one_line(run: Run, tmp_path: Path, name: str) -> None:
    content, words = BAD[name]
    (tmp_path / name).write_bytes(content)
    assert words in run("init", name, *TINY, "--out", "own.toml").mistake
    assert not Path("own.toml").exists()


def test_wishes_that_do_not_fit_get_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sums.csv").write_text(csv_text([{"question": q, "answer": a} for q, a in SUMS]))
    assert "did you mean 'answer'" in run("init", "sums.csv", *TINY, "--answer", "anser").mistake
    assert "--domain" in run("init", "sums.csv", *TINY, "--domain", "maths").mistake
    assert "tests" in run("init", "sums.csv", *TINY, "--domain", "coding").mistake
    assert "nothing" in run("init", "sum.csv", *TINY).mistake
    assert "encoding" in run("init", "sums.csv", *TINY, "--encoding", "rot13").mistake


def test_hostile_names_and_texts_stay_quoted(made: Made, tmp_path: Path) -> None:
    name = 'ques"tion\n[data]\n# \x1b[31m\u2028'
    rows = [{name: q, "ans'wer\\": a, "\x07": "x"} for q, a in SUMS]
    rows.append({name: "\x1b]0;gone\x07\n[grpo]\nmax_steps = 0", "ans'wer\\": "", "\x07": ""})
    (tmp_path / "odd \x1b[1m.csv").write_text(csv_text(rows))
    recipe, tasks, shown = made("odd \x1b[1m.csv")
    assert (only(recipe).question, only(recipe).answer) == (name, "ans'wer\\")
    assert golds(tasks) == GOLDS
    assert recipe.grpo.max_steps > 0
    assert "\x1b" not in shown
    assert "\x1b" not in Path("own.toml").read_text("utf-8")


@pytest.mark.parametrize("unit", ['"', ';"a', "[" * 9, "\\frac{", "(1+", "####", "a,b;c|", "\xff", "?\n"])
def test_hostile_content_takes_linear_time(run: Run, tmp_path: Path, unit: str) -> None:
    (tmp_path / "odd.csv").write_bytes(b"question,answer\n" + (unit * (200_000 // len(unit))).encode("latin-1"))
    ended = run("init", "odd.csv", *TINY)  # pytest's own limit would notice more than linear time
    assert ended.code in (0, 2)
    rows = [{"question": unit * 4_000, "answer": unit * 2_000, "options": unit * 2_000}] * 20
    (tmp_path / "odd.jsonl").write_text(json_lines(rows))
    assert run("init", "odd.jsonl", *TINY, "--force").code in (0, 2)
