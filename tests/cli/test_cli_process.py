"""The command line as a process: closed pipes, full disks, locales, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.cli import TINY, one_device

COMMAND = [sys.executable, "-c", "from thinkaloud.cli import main; main()"]
LINE = json.dumps(
    {
        "domain": "logic",
        "question": "Is ice cold?",
        "answer": "yes",
        "completion": "<reasoning>It is frozen.</reasoning><answer>Yes</answer>",
    }
)


def call(command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a shell line in which `$T` is `thinkaloud`."""
    program = f'"{sys.executable}" -c "from thinkaloud.cli import main; main()"'
    return subprocess.run(
        ["/bin/sh", "-c", command.replace("$T", program)],
        capture_output=True,
        timeout=120,
        check=False,
        env=one_device(RECIPE=TINY, **environment),
    )


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl").write_text((LINE + "\n") * 3000)
    ended = call(f"$T score {tmp_path / 'lines.jsonl'} | head -1")
    assert json.loads(ended.stdout)["reward"] == 1.0
    assert ended.stderr == b""


def test_a_reader_that_never_read() -> None:
    ended = call("{ $T domains; echo $? >&2; } | true")
    assert ended.stderr in (b"1\n", b"0\n")  # 0 where everything was written before the reader left


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_standard_output_on_a_full_disk() -> None:
    ended = call("$T domains >/dev/full")
    assert ended.returncode == 2
    assert ended.stderr == b"error: cannot read or write the output: the disk is full; free some space\n"


def test_standard_output_that_is_closed() -> None:
    ended = call("$T domains >&-")
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_a_locale_without_unicode(locale: dict[str, str]) -> None:
    ended = call('$T prompt "$RECIPE" --question "Wie heißt du, 山?"', **locale)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "Wie·heißt·du,·山?" in ended.stdout.decode("utf-8")


def test_ctrl_c_while_waiting_for_lines() -> None:
    process = subprocess.Popen(
        # a shell may have told this test's own process to ignore Ctrl-C, which children inherit
        [sys.executable, "-c", f"import signal; signal.signal(2, signal.default_int_handler); {COMMAND[-1]}", "score"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    status = Path(f"/proc/{process.pid}/wchan")
    try:
        for _ in range(256):  # a whole batch, so that its results show that it is up and waiting for the next
            process.stdin.write(LINE.encode() + b"\n")
        process.stdin.flush()
        assert process.stdout is not None
        if not status.exists():
            time.sleep(5)
        else:
            for _ in range(600):
                if "pipe" in status.read_text():
                    break
                time.sleep(0.05)
            time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, b"interrupted\n")


ENDING = """
import atexit, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from thinkaloud.cli import exits
atexit.register(lambda: (print("ending", flush=True), time.sleep(60)))  # as JAX, which has backends to clear
exits.run(lambda standalone_mode: None)
"""


def test_ctrl_c_while_the_interpreter_ends_is_no_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ENDING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ending\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (-signal.SIGINT, b"")
