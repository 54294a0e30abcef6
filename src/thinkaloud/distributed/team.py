"""Several processes of one run, on one machine or several: connection, division of rows, exchange of values.

Every process runs the whole program on the same recipe. Rows are divided: each process samples, scores and
differentiates its own. Shared values, and every decision that could differ between processes (a clock, a signal, a
file that exists), go through process 0, which has a connection to each of the others; `distributed/processes.py` sums
gradients. A single process exchanges nothing.

A process that fails sends the reason to all others. A killed process is detected by its closed connection, a lost host
by TCP keep-alive.

Messages are pickled, so a sender can run code. When they connect, both sides prove with HMAC that they know the same
key, before anything is unpickled. Without a key there is no such protection. Nothing is encrypted.
"""

from __future__ import annotations

import errno
import hmac
import json
import pickle
import secrets
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from thinkaloud.config.flat import changed_keys
from thinkaloud.errors import UserError

T = TypeVar("T")

JOIN_SECONDS = 300.0
"""How long the processes of a run wait for each other at the start."""
LEAVE_SECONDS = 60.0
"""How long a process that fails waits for the others to receive the reason."""
HELLO_SECONDS, HELLO_BYTES = 10.0, 1 << 22
"""Limits on the time and the size of a handshake message."""
KEY_VARIABLE = "THINKALOUD_TEAM_KEY"
"""The environment variable with the key, the same for all processes of a run."""
_NONCE_BYTES = 32
_IDLE, _BETWEEN, _TIMES = 20, 5, 4
"""TCP keep-alive: idle seconds, interval, tries. A lost host is detected after 40 s."""
_HEADER = struct.Struct("!cQ")
_MESSAGE, _FAILURE = b"M", b"F"


class TeamError(UserError):
    """Another process failed, with its reason, or the connection to it was lost."""


class Link:
    """A connection to one other process that carries whole messages."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        self.name = name
        self._socket = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", _IDLE), ("TCP_KEEPINTVL", _BETWEEN), ("TCP_KEEPCNT", _TIMES)):
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def send(self, body: bytes, kind: bytes = _MESSAGE) -> None:
        """Send a message.

        Raises:
            TeamError: The connection was lost, or the other process failed.
        """
        try:
            self._socket.sendall(_HEADER.pack(kind, len(body)))
            self._socket.sendall(body)
        except OSError as error:
            with suppress(OSError):
                while kind == _MESSAGE:  # its last message may be the reason
                    self.receive()
            raise self._lost() from error

    def receive(self, most_bytes: int | None = None) -> bytes:
        """The next message.

        Raises:
            TeamError: The connection was lost, or the other process failed.
            ValueError: The message is larger than `most_bytes`.
        """
        try:
            kind, size = _HEADER.unpack(self._read(_HEADER.size))
            if most_bytes is not None and size > most_bytes:
                raise ValueError(f"a message of {size} bytes")
            body = self._read(size)
        except OSError as error:
            raise self._lost() from error
        if kind == _FAILURE:
            raise TeamError(body.decode("utf-8", "replace"))
        return body

    def wait_at_most(self, seconds: float | None) -> None:
        """Set the timeout of further operations; None for no limit."""
        self._socket.settimeout(seconds)

    def leave(self, until: float) -> None:
        """Stop sending, wait until `until` (of `time.monotonic`) for the other process to do the same, and close."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            while (left := until - time.monotonic()) > 0:
                self._socket.settimeout(left)
                if not self._socket.recv(1 << 16):
                    break
        self._socket.close()

    def _read(self, size: int) -> bytes:
        parts = bytearray(size)
        view = memoryview(parts)
        while view:
            count = self._socket.recv_into(view)
            if not count:
                raise ConnectionResetError(errno.ECONNRESET, "closed")
            view = view[count:]
        return bytes(parts)

    def _lost(self) -> TeamError:
        return TeamError(f"{self.name} is gone; see its output, then continue with --resume in all processes")


class Team:
    """The processes of one run, from the point of view of one of them.

    Args:
        index: The index of this process, from 0.
        count: The number of processes.
        links: In process 0, the connections to all others in order; in any other process, the one to process 0.
    """

    def __init__(self, index: int, count: int, links: Sequence[Link]) -> None:
        self.index, self.count = index, count
        self._links = list(links)
        self._leading = False  # process 0 works alone while the others wait for its result

    @property
    def alone(self) -> bool:
        return self.count == 1 or self._leading

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in the order of processes."""
        if self.alone:
            return [value]
        message = pickle.dumps(value)
        if self.index:
            self._links[0].send(message)
            messages = pickle.loads(self._links[0].receive())
        else:
            messages = [message, *(link.receive() for link in self._links)]
            packed = pickle.dumps(messages)
            for link in self._links:
                link.send(packed)
        return [pickle.loads(one) for one in messages]

    def from_first(self, work: Callable[[], T]) -> T:
        """Call `work` in process 0 only; return its result, or raise its exception, in all processes.

        During the call process 0 counts as alone, so `work` may call functions that gather.
        """
        if self.alone:
            return work()
        if self.index:
            raised, value = pickle.loads(self._links[0].receive())
        else:
            raised, value, message = self._outcome(work)
            for link in self._links:
                link.send(message)
        if raised:
            raise value
        return value

    def leave(self, reason: str = "") -> None:
        """Close the connections. `reason`: sent to the others if this process fails. May be called twice."""
        until, links, self._links = time.monotonic() + (LEAVE_SECONDS if reason else 0.0), self._links, []
        for link in links:
            with suppress(TeamError):
                if reason:
                    link.send(reason.encode(), _FAILURE)
        for link in links:
            link.leave(until)

    def _outcome(self, work: Callable[[], Any]) -> tuple[bool, Any, bytes]:
        self._leading = True
        try:
            value = work()
        except Exception as error:
            try:
                message = pickle.dumps((True, error))
                pickle.loads(message)
            except Exception:
                raise error from None  # it ends this process, and the others receive its message
            return True, error, message
        finally:
            self._leading = False
        return False, value, pickle.dumps((False, value))


_team = Team(0, 1, [])


def join(team: Team) -> None:
    """Set the team that the functions below use."""
    global _team
    _team = team


def meet(
    address: str,
    count: int,
    index: int,
    settings: Mapping[str, Any],
    *,
    key: bytes = b"",
    notify: Callable[[str], None] = lambda text: None,
    seconds: float | int = JOIN_SECONDS,
) -> Team:
    """Connect the processes of a run.

    Args:
        address: HOST:PORT of process 0, the same for all.
        count: The number of processes.
        index: The index of this process, from 0.
        settings: Settings that must be the same in all processes, JSON-ready, by name.
        key: A secret that only the processes of this run know.
        notify: Receives one or two lines.
        seconds: How long to wait for the others.

    Raises:
        UserError: In all connected processes: the others did not connect in time, or their settings differ.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise UserError(f"--coordinator {address!r}: expected HOST:PORT of process 0, such as 10.0.0.1:8476")
    if not 0 <= index < count:
        raise UserError(f"--process-id {index}: expected 0 to {count - 1} with {count} processes")
    if count == 1:
        return Team(0, 1, [])
    hello = json.loads(json.dumps({"process": index, "count": count, "settings": dict(settings)}))
    if index:
        notify(f"process {index} of {count}: connecting to process 0 at {address}; progress is shown there")
        return Team(index, count, [_call(host.strip("[]"), int(port), hello, key, seconds)])
    notify(f"process 0 of {count}: waiting at {address} for the others, at most {seconds:.0f} s")
    if not key and host.strip("[]") not in ("localhost", "127.0.0.1", "::1"):
        notify(
            f"warning: {KEY_VARIABLE} is not set: anyone who can reach the port can run code here; set the same secret "
            "in all processes"
        )
    return Team(0, count, _receive(host.strip("[]"), int(port), hello, key, seconds))


def _proof(key: bytes, sender: str, *messages: bytes) -> bytes:
    """HMAC that proves that `sender` knows the key and received these messages."""
    return hmac.digest(key, b"\0".join((sender.encode(), *messages)), "sha256")


def _call(host: str, port: int, hello: Mapping[str, Any], key: bytes, seconds: float | int) -> Link:
    """The connection to process 0; returns after all processes have connected."""
    until = time.monotonic() + seconds
    while True:
        try:
            connection = socket.create_connection((host, port), timeout=HELLO_SECONDS)
            if connection.getsockname() == connection.getpeername():  # connected to itself: same local port
                connection.close()
                raise ConnectionRefusedError(errno.ECONNREFUSED, "nothing listens there")
            link = Link(connection, "process 0")
            break
        except OSError as error:
            if time.monotonic() > until:
                raise UserError(
                    f"process 0 did not answer at {host}:{port} within {seconds:.0f} s ({error}); start it with the "
                    "same --coordinator, and open the port"
                ) from error
            time.sleep(0.2)
    try:
        challenge, nonce, greeting = (
            link.receive(_NONCE_BYTES),
            secrets.token_bytes(_NONCE_BYTES),
            json.dumps(hello).encode(),
        )
        for message in (greeting, nonce, _proof(key, "caller", challenge, nonce, greeting)):
            link.send(message)
        link.wait_at_most(None)
        if not hmac.compare_digest(link.receive(HELLO_BYTES), _proof(key, "process 0", nonce, challenge)):
            raise TeamError(
                f"the process at {host}:{port} has another key; set the same {KEY_VARIABLE} in all processes"
            )
    except (TeamError, ValueError) as error:
        link.leave(0.0)
        if isinstance(error, TeamError):
            raise
        raise TeamError(f"the process at {host}:{port} does not belong to thinkaloud ({error})") from error
    return link


def _receive(host: str, port: int, hello: Mapping[str, Any], key: bytes, seconds: float | int) -> list[Link]:
    """The connections to all others, in order."""
    found: dict[int, Link] = {}
    answers: dict[int, bytes] = {}
    try:
        _await_all(host, port, hello, key, seconds, found, answers)
        links = [link for _, link in sorted(found.items())]
        for index, link in sorted(found.items()):
            link.send(answers[index])
    except UserError as error:
        Team(0, hello["count"], list(found.values())).leave(str(error))
        raise
    return links


def _await_all(
    host: str,
    port: int,
    hello: Mapping[str, Any],
    key: bytes,
    seconds: float | int,
    found: dict[int, Link],
    answers: dict[int, bytes],
) -> None:
    """Fill `found` with the connections, and `answers` with the proof for each that this is process 0."""
    until, rejected = time.monotonic() + seconds, 0
    with _listen(host, port) as server:
        while len(found) < hello["count"] - 1:
            server.settimeout(max(0.01, until - time.monotonic()))
            try:
                connection, _ = server.accept()
            except TimeoutError:
                missing = [str(index) for index in range(1, hello["count"]) if index not in found]
                others = f"; rejected {rejected} with another {KEY_VARIABLE}" if rejected else ""
                raise UserError(
                    f"process {', '.join(missing)} of {hello['count']} did not connect to {host}:{port} within "
                    f"{seconds:.0f} s{others}; start all with the same --coordinator, and open the port"
                ) from None
            link = Link(connection, "a process")
            try:
                link.wait_at_most(HELLO_SECONDS)
                challenge = secrets.token_bytes(_NONCE_BYTES)
                link.send(challenge)
                greeting, nonce, proof = (link.receive(HELLO_BYTES) for _ in range(3))
                if not hmac.compare_digest(proof, _proof(key, "caller", challenge, nonce, greeting)):
                    rejected += 1
                    reason = f"process 0 has another key; set the same {KEY_VARIABLE} in all processes"
                    link.send(reason.encode(), _FAILURE)
                    link.leave(time.monotonic() + 1.0)
                    continue
                other = json.loads(greeting)
                index, settings = int(other["process"]), dict(other["settings"])
            except (TeamError, ValueError, KeyError, TypeError):
                link.leave(0.0)  # not a process of this run
                continue
            answers[index] = _proof(key, "process 0", nonce, challenge)
            link.name = f"process {index}"
            link.wait_at_most(None)
            twice = index in found or not 0 < index < hello["count"]
            found[-1 if twice else index] = link  # so that it receives the reason
            if other["count"] != hello["count"]:
                raise UserError(
                    f"expected --num-processes {hello['count']} as in process 0, found {other['count']} in process "
                    f"{index}"
                )
            if twice:
                raise UserError(f"a second process {index} connected; give every process a different --process-id")
            require_same([hello["settings"], settings], [0, index])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        try:
            return socket.create_server((place[0], port), family=family)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            return socket.create_server(("", port), family=family)  # an address behind NAT
    except OSError as error:
        raise UserError(
            f"process 0 cannot listen at {host}:{port} ({error.strerror or error}); give --coordinator an address of "
            "its host and a free port"
        ) from error


def require_same(settings: Sequence[Mapping[str, Any]], processes: Sequence[int] = ()) -> None:
    """Check that all processes have the same settings.

    Args:
        settings: The settings of each process by name; those of process 0 first.
        processes: Their indices; 0, 1, 2, ... if empty.

    Raises:
        UserError: A value differs; names the key and both values.
    """
    first = dict(settings[0])
    for index, other in zip(processes or range(len(settings)), settings, strict=True):
        for key in changed_keys(first, dict(other)):
            raise UserError(
                f"process {index} differs from process 0 in {key}: expected {_short(first.get(key))}, found "
                f"{_short(other.get(key))}; start all processes with the same recipe, options, model and version"
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def is_first() -> bool:
    """Whether this is the primary process, which writes the run directory."""
    return _team.index == 0


def index() -> int:
    """The index of this process, from 0."""
    return _team.index


def alone() -> bool:
    """Whether there is nothing to exchange with other processes."""
    return _team.alone


def own_rows(count: int) -> range:
    """The block of `count` rows that this process works on; block sizes differ by at most one."""
    parts, index = (1, 0) if _team.alone else (_team.count, _team.index)
    base, extra = divmod(count, parts)
    first = index * base + min(index, extra)
    return range(first, first + base + (index < extra))


def share(count: int, work: Callable[[range], Sequence[T]]) -> list[T]:
    """Call `work` on the rows of this process, and return the results of all processes in the order of the rows."""
    return [result for part in gather(list(work(own_rows(count)))) for result in part]


def gather(value: T) -> list[T]:
    """The values of all processes, in the order of processes."""
    return _team.gather(value)


def from_first(work: Callable[[], T]) -> T:
    """Call `work` in the primary process only, and return its result in all; see `Team.from_first`."""
    return _team.from_first(work)


def leave(reason: str = "") -> None:
    """Close the connections to the other processes; see `Team.leave`."""
    _team.leave(reason)
