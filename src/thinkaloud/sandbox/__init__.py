"""Run model-written programs safely, and decide reliably which of them solve their task.

    from thinkaloud.sandbox import Sandbox

    with Sandbox() as sandbox:
        verdict = sandbox.run("def add(a, b): return a + b", ["assert add(1, 2) == 3"])
        assert verdict.ok

There are two main ideas. First, the verdict is never formed in a process that ran the program: a test
`assert f(x) == y` is split, the call goes to the program's process, and the returned value is compared here as plain
data. Second, the jail is a small system-call allowlist, which needs no privileges, packages or containers. Landlock, an
unprivileged user id and bubblewrap are added where probes at start-up show that they work.

How a program flows through the modules:

    verdict      the records: `Job`, `Limits`, `Verdict`, `Outcome`, `Level`
    pool         `Sandbox`: workers, retries, replacement
    trial        one program against its tests
    assertions   splits a test into calls and a judgement; `plain`: the operations that a judgement may use
    worker       handles of the trainer for a worker process and its jailed children
    inside/      code that runs in the worker and its children
    probes       attempts at forbidden actions; `selftest`: the resulting level; `check`: its report
    bubblewrap   the command around a worker, if it works
    bench        programs per second, compared with plain subprocesses

This package is independent: it uses only the standard library and imports nothing else of thinkaloud. For its
guarantees and limits see docs/sandbox.md.
"""

from __future__ import annotations

from .pool import Sandbox
from .verdict import Job, Level, Limits, Outcome, SandboxUnavailable, Verdict

__all__ = ["Job", "Level", "Limits", "Outcome", "Sandbox", "SandboxUnavailable", "Verdict"]
