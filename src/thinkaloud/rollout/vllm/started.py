"""A vLLM server that this process starts on its own machine, and ends with itself.

It listens on a Unix socket in a folder that only this user may enter: no port to choose, and no key. Its output goes
to a log file.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from thinkaloud.errors import UserError
from thinkaloud.rollout.sampler import SamplerFailed

BASE_NAME = "base"
STOP_SECONDS = 10.0
"""What a server gets between SIGTERM and SIGKILL."""
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""vLLM's values of --max-lora-rank."""
ENVIRONMENT = {
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
LOG_BYTES = 200_000
"""The end of a log in which an error is looked for."""

_RAISED = re.compile(r"\b(?!EngineDead)\w*Error: ")
"""An exception that says what happened: vLLM's EngineDeadError only says that there was one."""

_WITH_PARENT = (
    "import ctypes, os, sys\n"
    "if sys.platform == 'linux': ctypes.CDLL(None).prctl(1, 15)\n"  # PR_SET_PDEATHSIG, SIGTERM
    "if os.getppid() != int(sys.argv[1]): sys.exit(1)\n"  # it has ended before
    "os.execv(sys.argv[2], sys.argv[2:])"
)
"""Becomes the server, which gets SIGTERM when this process ends in whatever way."""


def check_python(python: str) -> str:
    """The path of an interpreter that has vLLM.

    Raises:
        UserError: There is none.
    """
    path = shutil.which(os.path.expanduser(python))
    fix = (
        "`make vllm` installs vLLM into .venv-vllm; set vllm.python for another place, or vllm.urls for running servers"
    )
    if path is None:
        raise UserError(f"expected vllm.python, the interpreter of an environment with vLLM, found no {python}; {fix}")
    code = "import importlib.util as u, sys; sys.exit(u.find_spec('vllm') is None)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if subprocess.run([path, "-c", code], capture_output=True, check=False, env=environment).returncode:
        raise UserError(f"expected an environment with vLLM, found {python} without it; {fix}")
    return os.path.abspath(path)


def server_arguments(
    base: Path, socket: Path, *, rank: int, dtype: str, max_tokens: int, on_cpu: bool, args: Sequence[str] = ()
) -> list[str]:
    """The arguments of vLLM's API server.

    Args:
        base: The folder of the base's weights.
        rank: Of the adapters.
        dtype: Of weights and activations.
        max_tokens: Of a prompt with its completion.
        on_cpu: Whether the server will run on a CPU.
        args: Further ones.
    """
    return [
        *("--model", str(base), "--served-model-name", BASE_NAME, "--uds", str(socket)),
        *("--dtype", dtype, "--max-model-len", str(max_tokens), "--seed", "0"),
        *("--enable-lora", "--max-loras", "2", "--max-lora-rank", str(min(r for r in RANKS if r >= rank))),
        *("--logprobs-mode", "processed_logprobs", "--generation-config", "vllm"),
        # after a part of a prompt, vLLM rewinds the seeded generator, and on CPUs that ends the server
        *(["--no-enable-chunked-prefill"] if on_cpu else []),
        *args,
    ]


class StartedServer:
    """Starts and ends the server.

    Args:
        command: The program, as an absolute path, and its arguments; see `server_arguments`.
        socket: Where it listens.
        log: The file that its output is added to.
    """

    def __init__(self, command: Sequence[str], socket: Path, log: Path) -> None:
        self.socket, self.log = socket, log
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ended(self) -> str:
        """How the server ended; empty while it runs, or before it was started."""
        code = None if self._process is None else self._process.poll()
        if code is None:
            return ""
        return f"by signal {-code}" if code < 0 else f"with exit code {code}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it; call this in the main thread, as the server ends with the thread that started it."""
        assert not self.running
        self.socket.unlink(missing_ok=True)
        environment = {**os.environ, **ENVIRONMENT}
        environment.pop("PYTHONPATH", None)  # it is meant for our interpreter
        environment.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")  # the learner uses the same cores in turn
        try:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _WITH_PARENT, str(os.getpid()), *self._command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,  # Ctrl-C is for us; and all its processes are one group
                )
        except OSError as error:
            raise SamplerFailed(f"vLLM: cannot start {self._command[0]}: {error.strerror or error}") from error

    def stop(self) -> None:
        """End it and all of its processes."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._process = None
        self.socket.unlink(missing_ok=True)

    def last_line(self) -> str:
        """The last line of the log with an exception, else with the word error, else the last one."""
        try:
            lines = self.log.read_bytes()[-LOG_BYTES:].decode("utf-8", "replace").splitlines()
        except OSError:
            return "no output"
        lines = ["".join(c if c.isprintable() else " " for c in line).strip() for line in lines if line.strip()]
        errors = [line for line in lines if "Error" in line]
        raised = [line for line in errors if _RAISED.search(line)]
        return (raised or errors or lines or ["no output"])[-1][-240:]


@contextmanager
def socket_folder() -> Iterator[Path]:
    """A folder for the socket: short, as the path of a socket has at most about a hundred bytes."""
    with tempfile.TemporaryDirectory(prefix="thinkaloud-vllm-", ignore_cleanup_errors=True) as name:
        yield Path(name)
