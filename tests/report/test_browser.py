"""The report in a real headless Chromium: width, colours, keyboard, filters, the live page."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Page, open_browser

from thinkaloud.report.comparison import compare_runs, comparison_page, load_runs
from thinkaloud.report.serve import LivePage, Server

pytestmark = pytest.mark.slow

SIDEWAYS = """[...document.querySelectorAll('html, .scroll')].filter(
    part => part.scrollWidth > part.clientWidth + 1 && part.clientWidth).map(
    part => (part.getAttribute('aria-label') || part.tagName) + ' ' + part.scrollWidth + ' > ' + part.clientWidth)"""
CONTRAST = """(() => {
    const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(v => v / 255).map(
        v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
    const paper = light(getComputedStyle(document.body).backgroundColor);
    return Math.min(...[...document.querySelectorAll('p, th, td, a, .status, .note, h2')].map(part => {
        const ink = light(getComputedStyle(part).color);
        return (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05); })); })()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_browser(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def report(browser: Page, built: Path) -> Page:
    browser.complaints.clear()
    browser.open((built / "report.html").as_uri())
    return browser


@pytest.mark.parametrize("width", [320, 390, 768, 1200, 1920])
def test_nothing_scrolls_sideways(browser: Page, built: Path, width: int) -> None:
    browser.open((built / "report.html").as_uri(), width=width, touch=width < 500)
    browser.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert browser.run(SIDEWAYS) == []


def test_a_comparison_scrolls_neither(browser: Page, built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "second")
    file = tmp_path / "compare.html"
    file.write_text(comparison_page(compare_runs(load_runs([built, tmp_path / "second"]))))
    for width in (390, 1200):
        browser.open(file.as_uri(), width=width, touch=width < 500)
        assert browser.run(SIDEWAYS) == []


def test_light_and_dark_can_be_read(browser: Page, built: Path) -> None:
    papers = set()
    for dark in (False, True):
        browser.open((built / "report.html").as_uri(), dark=dark)
        papers.add(browser.run("getComputedStyle(document.body).backgroundColor"))
        assert browser.run(CONTRAST) >= 4.5
    assert len(papers) == 2


def test_filters_choose_by_domain_stage_and_status(report: Page) -> None:
    seen = "[...document.querySelectorAll('.task')].filter(task => !task.hidden).map(task => task.dataset.domain)"
    assert len(report.run(seen)) == 28
    choose = """(name, value) => { const form = document.getElementById('filters');
        form.elements[name].value = value; form.dispatchEvent(new Event('change')); }"""
    report.run(f"({choose})('domain', 'math')")
    assert report.run(seen) == ["math"] * 4
    report.run(f"({choose})('stage', 'trained')")
    stages = "[...new Set([...document.querySelectorAll('.reply:not([hidden])')].map(part => part.dataset.stage))]"
    assert report.run(stages) == ["trained"]
    report.run(f"({choose})('status', 'unscorable')")
    assert report.run("document.getElementById('filters').elements.status.value") == "", "not a status that occurs"
    report.run(f"({choose})('domain', '')")
    report.run(f"({choose})('status', 'truncated')")
    truncated = (
        "document.querySelectorAll('.task:not([hidden]) .reply[data-stage=trained][data-status=truncated]').length"
    )
    assert report.run("document.getElementById('shown').textContent").startswith(f"{report.run(truncated)} of 28 tasks")
    assert report.complaints == []


def test_the_keyboard_reaches_everything(report: Page) -> None:
    report.press("Tab")
    assert report.run("document.activeElement.className") == "skip"
    report.press("Enter")
    assert report.run("location.hash") == "#results"
    report.run("document.querySelector('.task > summary').focus()")
    was = report.run("document.querySelector('.task').open")
    report.press("Enter")
    assert report.run("document.querySelector('.task').open") is not was
    parts = "[...document.querySelectorAll('a, select, button, summary, .scroll')]"
    unreachable = f"{parts}.filter(part => part.tabIndex < 0).length"
    assert report.run(unreachable) == 0
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert report.run(outline) == "solid"


def test_hostile_text_runs_nothing_and_nothing_is_fetched(report: Page) -> None:
    assert report.run("document.querySelectorAll('img, iframe, object, textarea').length") == 0
    assert report.run("performance.getEntriesByType('resource').length") == 0
    assert report.complaints == []


def test_the_live_page_follows_the_run(browser: Page, built: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(built, tmp_path / "run"))
    with Server(LivePage(run, 1), 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.complaints.clear()
        browser.open(server.address)
        browser.run("document.querySelectorAll('.task')[3].open = true; document.getElementById('samples').mark = 1")
        row = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1]) | {"step": 99}
        with (run / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        browser.wait("document.querySelector('.lead').textContent.includes('Over 13 GRPO steps')")
        assert browser.run("document.querySelectorAll('.task')[3].open"), "what was opened stays open"
        assert browser.run("document.getElementById('samples').mark") == 1, "what did not change is left alone"
        server.shutdown()
    browser.wait("document.getElementById('live').textContent.includes('does not answer')")
    assert not [said for said in browser.complaints if "ERR_CONNECTION" not in said]
