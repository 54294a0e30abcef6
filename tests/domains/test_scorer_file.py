"""Scorers in files of the user's own: what is loaded, and what a broken one does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from thinkaloud.domains.scorer_file import ScorerFile
from thinkaloud.errors import UserError
from thinkaloud.records import Status, Task

TASK = Task(id="t", domain="ordering", source="test", question="Sort: b, a", answer="a, b")
GOOD = """
from thinkaloud.domains import correct, wrong

def score(task, reasoning, answer, sandbox=None):
    return correct("in order") if answer == task.answer else wrong("out of order")
"""


def scorer(folder: Path, source: str, function: str = "score") -> ScorerFile:
    (folder / "my_scorer.py").write_text(source)
    return ScorerFile("domains.ordering.scorer", f"{folder}/my_scorer.py:{function}")


def test_it_scores_as_the_package_does(tmp_path: Path) -> None:
    score = scorer(tmp_path, GOOD)
    assert (score(TASK, "", "a, b").status, score(TASK, "", "a, b").value) == (Status.CORRECT, 0.8)
    assert score(TASK, "", "b, a").status is Status.WRONG


def test_modules_beside_it_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "helper_of_this_test.py").write_text("RIGHT = 'a, b'\n")
    source = GOOD.replace("task.answer", "RIGHT").replace("\ndef", "\nfrom helper_of_this_test import RIGHT\n\ndef")
    assert scorer(tmp_path, source)(TASK, "", "a, b").status is Status.CORRECT


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("raise KeyError('no such item')", "KeyError.*no such item"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("return 1.0", "expected a DomainScore, found float"),
        ("return None", "expected a DomainScore, found NoneType"),
        ("return DomainScore(value=2.0, status=Status.CORRECT)", "from 0 to 0.8, found 2.0"),
        ("return DomainScore(value=float('nan'), status=Status.CORRECT)", "found nan"),
        ("return DomainScore(value=0.8, status='great')", "[Ss]tatus"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_failing_scorer_masks_the_completion(tmp_path: Path, body: str, expected: str) -> None:
    imports = "from thinkaloud.domains import DomainScore\nfrom thinkaloud.records import Status\n"
    found = scorer(tmp_path, f"{imports}\n\ndef score(*_):\n    {body}\n")(TASK, "", "a, b")
    assert (found.status, found.value) == (Status.UNSCORABLE, 0.0)
    assert "my_scorer.py:score" in found.explanation
    assert "\n" not in found.explanation
    assert re.search(expected, found.explanation), found.explanation


@pytest.mark.parametrize(
    ("spec", "source", "expected"),
    [
        ("my_scorer.py", GOOD, "FILE.py:FUNCTION"),
        ("my_scorer.py:", GOOD, "FILE.py:FUNCTION"),
        ("absent.py:score", GOOD, "found none at 'absent.py'"),
        ("my_scorer.py:scoer", GOOD, "'score'"),
        ("my_scorer.py:score", "def score(:", "SyntaxError"),
        ("my_scorer.py:score", "1 / 0", "ZeroDivisionError"),
        ("my_scorer.py:score", "raise SystemExit", "SystemExit"),
        ("my_scorer.py:score", "score = 3", "expected a function 'score'"),
    ],
)
def test_one_line_for_a_wrong_path_or_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, source: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_scorer.py").write_text(source)
    with pytest.raises(UserError, match=expected) as error:
        ScorerFile("domains.ordering.scorer", spec).load()
    assert "domains.ordering.scorer" in str(error.value)
    assert "\n" not in str(error.value)
