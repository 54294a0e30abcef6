"""bubblewrap around a worker: no network, no other processes, only the files of Python."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/nix/store", "/gnu/store")


def command() -> tuple[str, ...]:
    """The command to put before the interpreter, or empty if bubblewrap is not installed.

    Containers often forbid what it needs, so a probe checks whether it works. `--die-with-parent` is omitted because
    it follows the *thread* that started the worker. A worker ends when its control socket closes.
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
