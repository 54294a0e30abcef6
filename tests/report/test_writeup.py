from __future__ import annotations

import re
import shutil
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from support.synthetic_run import HOSTILE, contract, make_run
from thinkaloud.report.run_data import Run, load_run
from thinkaloud.report.tables import Table
from thinkaloud.report.writeup import cell, fence, markdown_table, writeup

HEADINGS = [
    "Overview",
    "Model and prompt contract",
    "Data",
    "Cold start",
    "GRPO training",
    "Results by domain",
    "Lengths and truncation",
    "Prompt matching experiment",
    "Sample outputs",
    "Machine, time and health",
    "Limits",
]


def outside_fences(text: str) -> str:
    """Markdown without its code blocks, by CommonMark's rule: a block ends at a fence at least as long as its own."""
    kept, closing = [], ""
    for line in text.split("\n"):
        ticks = re.match(r"`{3,}", line)
        if closing:
            if re.fullmatch(r"`+", line) and len(line) >= len(closing):
                closing = ""
        elif ticks:
            closing = ticks[0]
        else:
            kept.append(line)
    assert not closing, "every code block is closed"
    return "\n".join(kept)


def test_headings_links_and_numbers(built: Path) -> None:
    text = (built / "writeup.md").read_text()
    prose = outside_fences(text)
    assert re.findall(r"^## (.*)$", prose, re.M) == HEADINGS
    links = re.findall(r"!\[.*?\]\((.*?)\)", prose)
    assert sorted(links) == sorted(f"figures/{path.name}" for path in (built / "figures").glob("*.png"))
    run = load_run(built)
    rate = run.stages["trained"]["overall"]["format_rate"]
    assert f"{100 * rate:.0f} % [" in prose
    assert "| peak memory | 4.31 GB |" in prose
    assert contract()["fingerprint"] in prose
    assert "Provide·your·reasoning" in text
    assert "Decoding was greedy" in prose


def test_hostile_text_stays_inside_its_block(built: Path) -> None:
    text = (built / "writeup.md").read_text()
    prose = outside_fences(text).replace("\\<", "")  # an escaped bracket is a character, not markup
    for hostile in ("<script", "<img", "Not a heading", "import os", "<!--"):
        assert hostile in text
        assert hostile not in prose
    assert "\x00" not in text
    assert "\u202e" not in text


def test_blank_lines_of_a_model_are_kept() -> None:
    assert "a\n\n\n\nb" in writeup(Run(path=Path("run"), recipe="a\n\n\n\nb"), {})


def test_an_empty_run_is_written_up_as_such() -> None:
    text = writeup(Run(path=Path("run"), missing=("metrics.jsonl is missing",)), {})
    assert re.findall(r"^## (.*)$", text, re.M) == HEADINGS
    for said in (
        "No evaluation was found",
        "Fewer than two GRPO steps",
        "- metrics.jsonl is missing",
        "contract.json is missing",
        "environment.json is missing",
        "sources of the tasks are unknown",
        "no cold start",
        "No completions were found",
    ):
        assert said in text
    assert "None" not in text
    assert "Decoding was greedy" not in text, "nothing was evaluated"


def test_an_interrupted_run_has_its_own_numbers_only(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", steps=1, tasks=1)
    (folder / "eval" / "summary.json").unlink()
    for path in (folder / "eval").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    text = writeup(load_run(folder), {})
    assert "Fewer than two GRPO steps were recorded." in text
    assert "24 supervised steps" in text
    assert "No evaluation was found" in text


@given(st.text(alphabet="`\n a~", max_size=40))
def test_no_text_closes_its_fence(text: str) -> None:
    block = fence(text).replace("\ue000", "\n")
    assert outside_fences(f"before\n{block}\nafter") == "before\nafter"


def test_cells_hold_one_plain_line() -> None:
    assert cell("a|b\n<script> [x](y) `c` *d*") == r"a\|b \<script\> [x\](y) \`c\` \*d\*"
    assert cell("96 % [88, 99]") == "96 % [88, 99]"


def test_a_table_in_markdown() -> None:
    table = Table(caption="What", header=("domain", "n"), rows=(("a|b", "1"), ("overall", "2")), bold_last=True)
    assert markdown_table(table) == (
        "**What**\n\n| domain | n |\n| --- | ---: |\n| a\\|b | 1 |\n| **overall** | **2** |"
    )
    assert markdown_table(None) == ""


def test_hostile_samples_are_what_the_tests_mean(built: Path) -> None:
    run = load_run(built)
    for hostile in HOSTILE:
        assert any(hostile in row.text for row in run.rows["base"])
