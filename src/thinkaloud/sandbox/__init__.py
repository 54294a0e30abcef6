"""Run programs that a model wrote under pressure to be paid, and say truly which of them solve their task.

    from thinkaloud.sandbox import Sandbox

    with Sandbox() as sandbox:
        verdict = sandbox.run("def add(a, b): return a + b", ["assert add(1, 2) == 3"])
        assert verdict.ok

Two ideas carry it. The verdict is never formed in a process that ran the program: a test `assert f(x) == y` is split,
the call goes to the program's process, the value comes back as plain data and is compared here. And the jail is a
tiny system-call allowlist, which needs neither privileges nor packages nor containers; Landlock, an unprivileged user
id and bubblewrap are added where probes, run at the start, show that they hold.

The way of a program:

    verdict      what is asked and what is answered: `Job`, `Limits`, `Verdict`, `Outcome`, `Level`
    pool         `Sandbox`: workers, retries, replacement
    trial        one program against its tests
    assertions   a test becomes calls to make and a judgement to pass; `plain`: the operations a judgement may use
    worker       the trainer's handles on a worker process and on its jailed children
    inside/      what runs on the far side of the wall
    probes       what must not be possible, tried; `selftest`: the level that follows; `check`: the report of it
    bubblewrap   the command around a worker, where it works
    bench        programs a second, beside plain subprocess

This package stands alone: standard library only, nothing else of thinkaloud is imported. What it promises, and what
it does not, is in docs/sandbox.md.
"""

from __future__ import annotations

from .pool import Sandbox
from .verdict import Job, Level, Limits, Outcome, SandboxUnavailable, Verdict

__all__ = ["Job", "Level", "Limits", "Outcome", "Sandbox", "SandboxUnavailable", "Verdict"]
