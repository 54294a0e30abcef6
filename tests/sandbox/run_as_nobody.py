"""Runs the hostile programs in a sandbox of its own and prints what became of them as JSON.

A script, not a test: the tests start it under an unprivileged user, with any interpreter that this user may execute.
Arguments: a scratch folder, a home folder.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from hostile_programs import SANE, TESTS, escape_jobs, hack_jobs

from thinkaloud.sandbox import Sandbox
from thinkaloud.sandbox.check import check_report


def main(scratch: str, home: str) -> None:
    hacks, escapes = hack_jobs(TESTS), escape_jobs(scratch, home)
    with Sandbox() as sandbox:
        verdicts = sandbox.run_batch([*hacks.values(), *escapes.values(), SANE])
        result = {
            "uid": os.getuid(),
            "level": str(sandbox.level),
            "report": check_report(),
            "verdicts": {
                name: [str(verdict.outcome), verdict.detail]
                for name, verdict in zip([*hacks, *escapes, "sane"], verdicts, strict=True)
            },
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
