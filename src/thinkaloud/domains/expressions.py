"""Are two mathematical expressions equal? math-verify answers, in a process of its own.

math-verify parses with ANTLR and compares with SymPy. Neither bounds its work, and its own time limit is a SIGALRM
handler, which works in the main thread only and would replace the caller's alarm. So it runs in one helper process,
kept for the next question, with a limit on memory and on the time for each answer; a process that overruns is replaced.
Texts are checked first: short, shallow, no towers of powers.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import selectors
import subprocess
import sys
import threading
import time

MAX_CHARS = 200
MAX_DEPTH = 12
MAX_DIGITS = 20
SECONDS_TO_START = 30.0
SECONDS_TO_ANSWER = 2.0
"""Of processor time, so that a busy machine turns no right answer into a wrong one."""

SECONDS_TO_WAIT = 20.0
"""For an answer, whatever keeps it."""

MEMORY_BYTES = 2 << 30

_TOWER = re.compile(r"(?:\^|\*\*)\s*[({]*\s*\d+\s*[)}]*\s*(?:\^|\*\*)")
_BIG_POWER = re.compile(r"(?:\^|\*\*)\s*[({\s]*-?\d{3,}")
_PLAIN_TO_LATEX = (
    (re.compile(r"\*\*"), "^"),
    (re.compile("π"), r" \\pi "),
    (re.compile(r"(?:√|(?<![\\a-zA-Z])sqrt)\s*(?:\(([^()]*)\)|(\d+|[a-z]))"), r"\\sqrt{\1\2}"),
    (re.compile(r"(?<![\\a-zA-Z])(pi|sin|cos|tan|ln|log)(?![a-zA-Z])"), r"\\\1 "),
)
_DIGITS = re.compile(r"\d+")
_CHOICE = re.compile(r"\b(?:or|either|not|maybe)\b|[;\n]|n['’]t\b", re.IGNORECASE)

_SERVER = """
import json, resource, signal, sys
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
import warnings
warnings.simplefilter("ignore")
import logging
logging.disable(logging.CRITICAL)
from math_verify import parse, verify
out, sys.stdout = sys.stdout, sys.stderr
print("ready", file=out, flush=True)
for line in sys.stdin:
    gold, answer = json.loads(line)
    signal.setitimer(signal.ITIMER_PROF, {seconds})  # its signal ends the process
    try:
        gold, answer = parse(gold, parsing_timeout=None), parse(answer, parsing_timeout=None)
        reply = "unread"
        if gold and answer:
            reply = "equal" if verify(gold, answer, timeout_seconds=None) else "different"
    except BaseException:
        reply = "unread"
    signal.setitimer(signal.ITIMER_PROF, 0)
    print(reply, file=out, flush=True)
"""


def equal(gold: str, answer: str) -> bool | str:
    """Whether `answer` equals the expression `gold`.

    Args:
        gold: the gold answer, trusted.
        answer: an expression, hostile perhaps.

    Returns:
        True or False, or the reason why it cannot be told (which counts as a wrong answer).
    """
    if refusal := _refuse(answer):
        return refusal
    if _CHOICE.search(answer) and not _CHOICE.search(gold):
        return "offers more than one answer"
    return _server.ask(gold, answer)


def _refuse(text: str) -> str | None:
    """Why an expression is not looked at, or None."""
    if len(text) > MAX_CHARS:
        return f"longer than {MAX_CHARS} characters"
    depth = deepest = 0
    for ch in text:
        depth += (ch in "([{") - (ch in ")]}")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        return "nested too deeply"
    if _TOWER.search(text) or _BIG_POWER.search(text) or re.search(r"!\s*!|\d{3,}\s*!", text):
        return "a power or factorial too large to evaluate"
    if any(len(digits) > MAX_DIGITS for digits in _DIGITS.findall(text)):
        return "a number too large to compare"
    return None


class _Server:
    """The helper process: one line of JSON in, one word out."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def ask(self, gold: str, answer: str) -> bool | str:
        with self._lock:
            process = self._started()
            if process is None:
                return "math-verify does not start"
            assert process.stdin is not None
            try:
                process.stdin.write(json.dumps([_wrapped(gold), _wrapped(answer)]) + "\n")
                process.stdin.flush()
            except OSError:
                self.close()
                return "math-verify stopped"
            reply = self._read_line(process, SECONDS_TO_WAIT)
            if reply is None:
                self.close()
                return f"not decided within {SECONDS_TO_ANSWER:g} s"
        return {"equal": True, "different": False}.get(reply, "not an expression")

    def _started(self) -> subprocess.Popen[str] | None:
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
            return self._process
        self.close()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _SERVER.format(memory=MEMORY_BYTES, seconds=SECONDS_TO_ANSWER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C is for the trainer
        )
        self._owner = os.getpid()
        if self._read_line(self._process, SECONDS_TO_START) != "ready":
            self.close()
        return self._process

    @staticmethod
    def _read_line(process: subprocess.Popen[str], seconds: float) -> str | None:
        """One line of the process, or None where none comes in time."""
        assert process.stdout is not None
        deadline = time.monotonic() + seconds
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return None
                chunk = os.read(process.stdout.fileno(), 4096)
                if not chunk:
                    return None
                line += chunk
        return line.decode("utf-8", "replace").strip()

    def close(self) -> None:
        """End the process, if it is ours."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def _wrapped(text: str) -> str:
    """The text as LaTeX; read as plain text, math-verify would take the last number in it."""
    for pattern, latex in _PLAIN_TO_LATEX:
        text = pattern.sub(latex, text)
    return text if "$" in text or "\\boxed" in text else f"${text}$"


_server = _Server()
atexit.register(_server.close)
