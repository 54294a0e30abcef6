"""bubblewrap around a worker, where it works: no network, no other processes, only Python's own files."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/nix/store", "/gnu/store")


def command() -> tuple[str, ...]:
    """The command to put before the interpreter, or empty where bubblewrap is not installed.

    Whether it works is for a probe to say: a container often forbids what it needs. `--die-with-parent` is left out on
    purpose: it follows the *thread* that started the worker. A worker ends with its control socket instead.
    """
    program = shutil.which("bwrap")
    if program is None:
        return ()
    interpreter = os.path.realpath(sys.executable)
    own = {sys.prefix, sys.base_prefix, str(Path(interpreter).parent.parent), str(Path(__file__).parent)}
    shown = [*_SYSTEM, *sorted(own - {"/"})]
    binds = [part for path in shown for part in ("--ro-bind-try", path, path)]
    namespaces = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if os.geteuid() != 0:
        namespaces.append("--unshare-user")
    return (program, *namespaces, *binds, "--proc", "/proc", "--dev", "/dev", "--chdir", "/", "--")
