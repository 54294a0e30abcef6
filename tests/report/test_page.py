from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from support.domains import VERIFIABLE
from support.synthetic_run import contract, make_run
from thinkaloud.report.page import page, tight
from thinkaloud.report.run_data import Run, load_run

VOID = {"meta", "br", "img", "input", "hr", "link"}


class Reader(HTMLParser):
    """Tags, attributes and visible text as a browser's tokenizer sees them; unbalanced tags are an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.script = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.script += data
        elif not self.open or self.open[-1] != "style":
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def html(built: Path) -> str:
    return (built / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def read(html: str) -> Reader:
    return Reader(html)


def test_model_output_makes_no_markup(read: Reader) -> None:
    assert [tag for tag, _ in read.tags].count("script") == 1
    assert not read.all("img")
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]
    text = "".join(read.text)
    assert "<script>alert('owned')</script></textarea></pre></details><img src=x onerror=alert(1)>" in text
    assert "{{ 7 * 7 }} {% raw %}" in text
    assert "⟨U+202E⟩evil" in text


def test_the_policy_lets_only_this_script_run(html: str, read: Reader) -> None:
    policy = next(a["content"] for a in read.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(read.script.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert html.index("Content-Security-Policy") < html.index("<style")


def test_nothing_is_fetched(html: str, read: Reader) -> None:
    for tag, attributes in read.tags:
        for name in ("src", "href", "xlink:href", "action", "srcset", "data"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, name, attributes)
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_ids_are_unique_and_links_lead_somewhere(read: Reader) -> None:
    ids = Counter(attributes["id"] for _, attributes in read.tags if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    for _, attributes in read.tags:
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#results")[1:] in ids
        for reference in re.findall(r"url\(#([^)]*)\)", " ".join(str(value) for value in attributes.values())):
            assert reference in ids


def test_charts_have_text_alternatives_and_follow_the_colours(html: str, read: Reader) -> None:
    labels = [attributes["aria-label"] or "" for attributes in read.all("svg")]
    assert len(labels) == len(set(labels)) == 2 + 1 + 10 + 3 + 7 + 1
    assert any(label.startswith("Bar chart of the format rate") and "math: base" in label for label in labels)
    assert any("Mean of the first 5" in label for label in labels)
    for svg in re.findall(r"<svg.*?</svg>", html, re.S):
        ElementTree.fromstring(svg)
        assert "var(--ink)" in svg
        assert not re.findall(r"#[0-9a-f]{6}\b", svg), "every colour follows the page"


def test_samples_can_be_filtered_by_what_they_carry(read: Reader) -> None:
    tasks = [a for a in read.all("details") if a.get("class") == "task"]
    replies = read.all("article")
    assert len(tasks) == 4 * 7
    assert len(replies) == 3 * len(tasks) + 2 * 4 * len(VERIFIABLE), "the readings ask verifiable domains alone"
    options = {attributes["value"] for attributes in read.all("option")}
    assert {a["data-domain"] for a in tasks} | {a["data-stage"] for a in replies} | {
        a["data-status"] for a in replies
    } <= options
    form = next(a for a in read.all("form"))
    assert "hidden" in form, "the filters appear with the script only"


def test_tables_name_their_rows_and_columns(read: Reader) -> None:
    assert {attributes.get("scope") for attributes in read.all("th")} == {"row", "col"}
    regions = [a for a in read.all("div") if a.get("role") == "region"]
    assert len(regions) == len(read.all("table"))
    assert all(a.get("tabindex") == "0" and a.get("aria-label") for a in regions)


def test_the_page_states_the_runs_numbers(built: Path, read: Reader) -> None:
    text = " ".join("".join(read.text).replace("\u00a0", " ").split())
    run = load_run(built)
    assert f"Over {len(run.grpo)} GRPO steps" in text
    assert contract()["fingerprint"] in text
    assert "standard" in text
    assert "4.31 GB" in text
    assert "6 min 12 s" in text, "GRPO's wall time"
    assert "incomplete" not in text
    assert "entropy fell <script>alert('owned')" in text, "health events, as text"
    assert "no step given" in text
    assert re.search(r"lower format rate[^.]*: no chat template\.", text)
    assert "7 (·)(end of the prompt)" in text
    assert "Words of the reasoning" in text
    assert "starter" in text


def test_a_megabyte_of_output_does_not_make_a_megabyte_of_page(built: Path) -> None:
    run = load_run(built)
    big = replace(run.rows["trained"][0], text="<answer>" * 500_000, task_id="big", explanation="e" * 100_000)
    html = page(Run(path=run.path, rows={"trained": [big]}))
    assert len(html) < 100_000
    assert "4,000,000 characters in all]" in html
    Reader(html)


def test_two_thousand_steps_stay_under_five_megabytes(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path / "long", steps=2_000, tasks=14))
    html = page(run)
    assert len(run.grpo) == 2_000
    assert len(html.encode()) < 5_000_000


def test_broken_unicode_is_shown_not_fatal(built: Path) -> None:
    run = load_run(built)
    broken = replace(
        run.rows["trained"][0], text="lone \ud800 end", question="q \udfff", explanation="\ud9ff", task_id="\ud800"
    )
    page(Run(path=run.path, rows={"trained": [broken]})).encode("utf-8")


def test_an_empty_run_says_what_is_missing(tmp_path: Path) -> None:
    reader = Reader(page(Run(path=tmp_path, missing=("<b>metrics</b> is missing",))))
    text = "".join(reader.text)
    for words in (
        "No evaluation was found",
        "<b>metrics</b> is missing",
        "No GRPO steps",
        "environment.json is missing",
    ):
        assert words in text
    assert not reader.all("svg")
    assert not reader.all("form")


def test_no_line_breaks_inside_a_rate() -> None:
    assert tight("96 % [88, 99] to 3 %") == "96\u00a0% [88,\u00a099] to 3\u00a0%"
    assert tight("(exact: p = 0.01), p < 0.001, to p") == "(exact: p\u00a0=\u00a00.01), p\u00a0<\u00a00.001, to p"
    assert tight("a, b [x, y] % c") == "a, b [x, y] % c"
