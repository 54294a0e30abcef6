"""`train --ray N`: the processes of a run as Ray actors. Where one is lost, all start again from the newest checkpoint.

Process 0 is on the machine of the command, because it owns the run directory. A run is never restarted after a user's
mistake or a signal.
"""

from __future__ import annotations

import importlib
import os
import platform
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any, NamedTuple

from thinkaloud.cli.exits import INTERRUPTED
from thinkaloud.errors import UserError
from thinkaloud.pipeline.stopping import Stop

LOST = 1
"""The exit code of a process that failed, or that noticed the end of another."""


class End(NamedTuple):
    """How a process ended: its exit code, and what it printed to stdout."""

    code: int
    printed: str = ""


class Place(NamedTuple):
    """Where a process is: Ray's id of the node, the process id, and a free address for the coordination service."""

    node: str
    pid: int
    address: str


class Member:
    """One process of the run; Ray calls the methods in a process of its own."""

    def open(self, folder: str) -> Place:
        """Work in `folder` from now on."""
        if not os.path.isdir(folder):
            raise UserError(f"--ray: expected the folder {folder} on every host, found none on {platform.node()}")
        os.chdir(folder)
        ray: Any = importlib.import_module("ray")
        host = ray.util.get_node_ip_address()
        with socket.socket() as probe:
            probe.bind(("", 0))
            port = probe.getsockname()[1]
        return Place(ray.get_runtime_context().get_node_id(), os.getpid(), f"{host}:{port}")

    def train(self, arguments: Sequence[str]) -> End:
        """Run `thinkaloud train` with these arguments to its end."""
        from thinkaloud import cli

        sys.argv = ["thinkaloud", "train", *arguments]
        with redirect_stdout(StringIO()) as printed:
            try:
                cli.main()
            except SystemExit as end:
                return End(int(end.code or 0), printed.getvalue())


class Cluster:
    """Members of a run on a Ray cluster: that of RAY_ADDRESS, or one on this machine alone.

    Args:
        count: The number of processes.
    """

    def __init__(self, count: int) -> None:
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError:
            raise UserError("--ray needs the package ray; install the extra: pip install 'thinkaloud[ray]'") from None
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ray.init(logging_level="WARNING")
        self._strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
        self._count = count
        self._members: list[Any] = []
        self._places: list[Place] = []

    def start(self) -> list[Place]:
        """Start the processes.

        Raises:
            UserError: A host does not have this folder.
        """
        have = self._ray.cluster_resources()
        resources = {name: have[name] // self._count for name in ("GPU", "TPU") if have.get(name, 0) >= self._count}
        options: dict[str, Any] = {"num_cpus": 0, "num_gpus": resources.pop("GPU", 0), "resources": resources}
        kind = self._ray.remote(Member)
        here = self._on(self._ray.get_runtime_context().get_node_id())
        places = [here] + ["SPREAD"] * (self._count - 1)
        self._members = [kind.options(**options, scheduling_strategy=place).remote() for place in places]
        try:
            self._places = self._ray.get([member.open.remote(os.getcwd()) for member in self._members])
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        return self._places

    def train(self, arguments: Sequence[Sequence[str]], asked: Callable[[], bool], grace_seconds: float) -> list[End]:
        """Run all members to their ends, and release them.

        Args:
            arguments: Of each process.
            asked: Whether to stop: process 0 then gets SIGTERM, once.
            grace_seconds: How long the others may take once one has failed.
        """
        calls = [member.train.remote(own) for member, own in zip(self._members, arguments, strict=True)]
        ends: dict[int, End] = {}
        told, left = False, grace_seconds
        while len(ends) < len(calls) and left > 0:
            waiting = [call for index, call in enumerate(calls) if index not in ends]
            for call in self._ray.wait(waiting, num_returns=len(waiting), timeout=1)[0]:
                ends[calls.index(call)] = self._end(call)
            left -= any(end.code == LOST for end in ends.values())
            if asked() and not told:
                told = True
                self._signal(0)
        for member in self._members:
            self._ray.kill(member)
        return [ends.get(index, End(LOST)) for index in range(len(calls))]

    def _end(self, call: Any) -> End:
        try:
            found: End = self._ray.get(call)
            return found
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.RayTaskError) as error:
            print(str(error).strip().splitlines()[-1], file=sys.stderr)
            return End(LOST)

    def _signal(self, index: int) -> None:
        place = self._places[index]
        kill = self._ray.remote(os.kill).options(num_cpus=0, scheduling_strategy=self._on(place.node))
        kill.remote(place.pid, signal.SIGTERM)

    def _on(self, node: str) -> Any:
        return self._strategies.NodeAffinitySchedulingStrategy(node, soft=False)


def launch(
    cluster: Cluster,
    arguments: Callable[[bool], Sequence[str]],
    count: int,
    restarts: int,
    *,
    heartbeat_seconds: int,
    notify: Callable[[str], None],
) -> int:
    """Run `thinkaloud train` in several processes; returns the exit code.

    Args:
        arguments: Maps whether this is a restart to the arguments of the command, without those of several processes.
        count: The number of processes.
        restarts: How often the run may be restarted.
        heartbeat_seconds: A process that was not heard for so long is lost.
        notify: Called with a line at each restart.
    """
    stdout = sys.stdout
    with redirect_stdout(sys.stderr), Stop(notify) as stop:  # Ray prints its workers' messages
        for left in range(restarts, -1, -1):
            places = cluster.start()
            for index, place in enumerate(places):
                notify(f"process {index}: pid {place.pid} at {place.address.rpartition(':')[0]}")
            together = ("--coordinator", places[0].address, "--num-processes", str(count))
            base = [*arguments(left < restarts), *together, "--heartbeat", str(heartbeat_seconds)]
            ends = cluster.train(
                [[*base, "--process-id", str(index)] for index in range(count)],
                lambda: stop.requested is not None,
                2.0 * heartbeat_seconds + 60,
            )
            codes = [end.code for end in ends]
            own = max((code for code in codes if code != LOST), default=0)
            if own or LOST not in codes or stop.requested:
                print(ends[0].printed, end="", file=stdout)
                return INTERRUPTED if stop.requested == signal.SIGINT else own or max(codes)
            failed = ", ".join(str(index) for index, code in enumerate(codes) if code == LOST)
            if left:
                notify(f"processes {failed} failed; starting all from the newest checkpoint, {left - 1} restarts left")
    notify(f"error: processes {failed} failed, and --ray-restarts {restarts} is used up; continue with --resume")
    return LOST
