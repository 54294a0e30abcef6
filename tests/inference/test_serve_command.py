"""`thinkaloud serve` as a process: it prints its address, answers, and ends on Ctrl-C; mistakes are one line."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from support.cli import Run
from support.tiny_runs import make_run


@pytest.mark.slow
def test_it_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "tiny")
    # a suite started in the background ignores Ctrl-C, and child processes inherit that
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from thinkaloud.cli import main; main()"
    )
    command = [sys.executable, "-c", program, "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert process.stderr.readline().startswith("device: ")
            said = process.stderr.readline()
            found = re.fullmatch(r"serving 'tiny-run' at (http://127\.0\.0\.1:\d+)/v1; Ctrl-C stops\n", said)
            assert found, said
            with urllib.request.urlopen(f"{found[1]}/v1/models", timeout=60) as response:
                assert json.loads(response.read())["data"][0]["id"] == "tiny-run"
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 130
            assert process.stderr.read() == "interrupted\n"
        finally:
            process.kill()  # after a failed assertion, the block would wait for it


def test_mistakes(run: Run, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", "tiny")
    assert "no run directory" in run("serve", str(tmp_path / "none")).mistake
    assert "4096" in run("serve", str(folder), "--port", "0", "--max-new-tokens", "4000").mistake
    assert "expected a checkpoint of stage 'cold_start'" in run("serve", str(folder), "--stage", "cold_start").mistake
