"""The report in a real headless Chromium: width, colours, keyboard, filters, print, axe-core, the live page.

`THINKALOUD_REPORT=runs/NAME/report.html pytest tests/report/test_browser.py` looks at that page too, in the tests that
fit any page.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.browser import Page, open_browser
from thinkaloud.report.comparison import compare_groups
from thinkaloud.report.comparison_files import learning_curves
from thinkaloud.report.comparison_page import comparison_page
from thinkaloud.report.groups import group_runs, load_runs
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


@pytest.fixture(params=["made-up", "given"])
def address(request: pytest.FixtureRequest) -> str:
    """A made-up run's page, and the page that the environment names."""
    if request.param == "made-up":
        built: Path = request.getfixturevalue("built")
        return (built / "report.html").as_uri()
    given = os.environ.get("THINKALOUD_REPORT")
    if not given:
        pytest.skip("THINKALOUD_REPORT names no other page")
    return Path(given).absolute().as_uri()


@pytest.mark.parametrize("width", [320, 360, 390, 768, 1200, 1920])
def test_nothing_scrolls_sideways_or_complains(browser: Page, address: str, width: int) -> None:
    browser.complaints.clear()
    browser.open(address, width=width, touch=width < 500)
    browser.run("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert browser.run(SIDEWAYS) == []
    assert browser.complaints == []


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (360, True)])
def test_axe_finds_no_barrier(browser: Page, address: str, width: int, dark: bool) -> None:
    found = importlib.util.find_spec("axe_core_python")
    if found is None or found.origin is None:
        pytest.skip("no axe-core here: `make setup` installs it")
    browser.open(address, width=width, dark=dark, touch=width < 500)
    browser.run(Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8") + "; true")
    broken = "axe.run({}).then(found => found.violations.map(v => `${{v.impact}} ${{v.id}}: ${{v.nodes[0].html}}`))"
    assert browser.run(broken.format("document")) == []
    browser.run("document.querySelector('#filters label').replaceWith(document.createElement('select'))")
    assert "select-name" in str(browser.run(broken.format("'#filters'"))), "it would find one"


def test_print_is_what_is_open(browser: Page, built: Path) -> None:
    browser.open((built / "report.html").as_uri())
    closed = num_pages(browser.print())
    browser.run("document.getElementById('open-all').click()")
    assert 5 <= closed <= 15
    assert num_pages(browser.print()) > closed


def num_pages(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


def test_a_comparison_scrolls_neither(browser: Page, built: Path, tmp_path: Path) -> None:
    shutil.copytree(built, tmp_path / "second")
    resolved = json.loads((built / "resolved.json").read_text())
    resolved["data"]["domains"] = [f"domain_number_{i}" for i in range(12)]
    (tmp_path / "second" / "resolved.json").write_text(json.dumps(resolved))
    file = tmp_path / "compare.html"
    runs = group_runs(load_runs([built, tmp_path / "second"]))
    file.write_text(comparison_page(compare_groups(runs), learning_curves(runs)))
    for width in (390, 1200):
        browser.open(file.as_uri(), width=width, touch=width < 500)
        assert browser.run(SIDEWAYS) == []
    assert "data.domains" in browser.run("document.body.textContent"), "a field is named as a recipe spells it"


def test_light_and_dark_can_be_read(browser: Page, address: str) -> None:
    papers = set()
    for dark in (False, True):
        browser.open(address, dark=dark)
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
        browser.wait("document.querySelector('.facts').textContent.includes('Over 13 GRPO steps')")
        assert browser.run("document.querySelectorAll('.task')[3].open"), "what was opened stays open"
        assert browser.run("document.getElementById('samples').mark") == 1, "what did not change is left alone"
        server.shutdown()
    browser.wait("document.getElementById('live').textContent.includes('does not answer')")
    assert not [output for output in browser.complaints if "ERR_CONNECTION" not in output]
