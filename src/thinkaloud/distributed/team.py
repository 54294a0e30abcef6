"""Several processes, on one machine or many: how they meet, who does what, and how they tell each other.

Every process runs the whole program on the same recipe. Rows are shared out: each decodes, scores and differentiates
its own. Whatever the others need, and every decision that could come out differently elsewhere (a clock, a signal, a
file that is there), goes through process 0, which holds a connection to each of them; `model/processes.py` adds
gradients up. With one process nothing is exchanged.

A process that fails says so to all; one that was killed is known by its closed connection, and one whose host is gone
by TCP's keep-alive.

Messages are pickled, so that whoever may send one may run code: as they meet, both sides prove by HMAC that they know
one key, before anything is unpickled. Without a key anybody does. Nothing is encrypted.
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
"""How long the processes of a run wait for each other at its beginning."""
LEAVE_SECONDS = 60.0
"""How long a process that ends before its time waits for the others to hear why."""
HELLO_SECONDS, HELLO_BYTES = 10.0, 1 << 22
"""What someone who connects may take to say who it is, and how much it may say."""
KEY_VARIABLE = "THINKALOUD_TEAM_KEY"
"""The environment variable with the key, the same for all processes of a run."""
_NONCE_BYTES = 32
_IDLE, _BETWEEN, _TIMES = 20, 5, 4
"""TCP's keep-alive, in seconds: a host that is gone is known after 40."""
_HEADER = struct.Struct("!cQ")
_MESSAGE, _FAILURE = b"M", b"F"


class TeamError(UserError):
    """What ended another process, or that it is not there any more."""


class Link:
    """A connection to one other process, over which whole messages go."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        self.name = name
        self._socket = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", _IDLE), ("TCP_KEEPINTVL", _BETWEEN), ("TCP_KEEPCNT", _TIMES)):
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def send(self, body: bytes, kind: bytes = _MESSAGE) -> None:
        """Raises TeamError where the other process is gone, or says why it ends."""
        try:
            self._socket.sendall(_HEADER.pack(kind, len(body)))
            self._socket.sendall(body)
        except OSError as error:
            with suppress(OSError):
                while kind == _MESSAGE:  # what it said last tells more
                    self.receive()
            raise self._lost() from error

    def receive(self, most_bytes: int | None = None) -> bytes:
        """The next message.

        Raises:
            TeamError: The other process is gone, or says why it ends.
            ValueError: It says more than `most_bytes`.
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
        """For whatever comes next; None: for as long as it takes."""
        self._socket.settimeout(seconds)

    def leave(self, until: float) -> None:
        """Say nothing more, wait for the other process to do the same (a moment of `time.monotonic`), and close."""
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
        return TeamError(f"{self.name} is gone; see what it said, and go on with --resume in all processes")


class Team:
    """The processes of one run, as one of them sees them.

    Args:
        index: Which of them this is, from 0.
        links: Of process 0, to all others in order; of any other, to process 0 alone.
    """

    def __init__(self, index: int, count: int, links: Sequence[Link]) -> None:
        self.index, self.count = index, count
        self._links = list(links)
        self._leading = False  # process 0 works alone while the others wait for what comes of it

    @property
    def alone(self) -> bool:
        return self.count == 1 or self._leading

    def gather(self, value: T) -> list[T]:
        """Every process's value, in the order of processes."""
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
        """What `work` gives process 0, or the exception that it raises there, in all processes; the others do not call
        it. Within it process 0 is alone: what it calls may itself gather."""
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
        """End the connections, telling the others why where this process ends before its time. May be called twice."""
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
                raise error from None  # it ends this process, and the others hear its words
            return True, error, message
        finally:
            self._leading = False
        return False, value, pickle.dumps((False, value))


_team = Team(0, 1, [])


def join(team: Team) -> None:
    """Make this process one of the team, for the functions below."""
    global _team
    _team = team


def meet(
    address: str,
    count: int,
    index: int,
    settings: Mapping[str, Any],
    *,
    key: bytes = b"",
    say: Callable[[str], None] = lambda text: None,
    seconds: float | int = JOIN_SECONDS,
) -> Team:
    """The team of the processes that come to one address.

    Args:
        address: HOST:PORT of process 0, the same for all.
        settings: What has to be the same in all of them, JSON-ready, by name.
        key: What only the processes of this run know.
        say: Told one line, or two.
        seconds: How long they wait for each other.

    Raises:
        UserError: In all that are there: the others did not come in time, or were not started alike.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise UserError(f"--coordinator {address!r}: expected HOST:PORT of process 0, as 10.0.0.1:8476")
    if not 0 <= index < count:
        raise UserError(f"--process-id {index}: expected 0 to {count - 1} with {count} processes")
    if count == 1:
        return Team(0, 1, [])
    hello = json.loads(json.dumps({"process": index, "count": count, "settings": dict(settings)}))
    if index:
        say(f"process {index} of {count}: works for process 0 at {address}, which shows what happens, and ends it too")
        return Team(index, count, [_call(host.strip("[]"), int(port), hello, key, seconds)])
    say(f"process 0 of {count}: waits at {address} for the others, {seconds:.0f} s at most")
    if not key and host.strip("[]") not in ("localhost", "127.0.0.1", "::1"):
        say(f"no {KEY_VARIABLE}: whoever reaches that port may run code here; set one, the same for all processes")
    return Team(0, count, _receive(host.strip("[]"), int(port), hello, key, seconds))


def _proof(key: bytes, who: str, *said: bytes) -> bytes:
    """That one who knows the key heard this."""
    return hmac.digest(key, b"\0".join((who.encode(), *said)), "sha256")


def _call(host: str, port: int, hello: Mapping[str, Any], key: bytes, seconds: float | int) -> Link:
    """The link to process 0, once that has seen everybody."""
    until = time.monotonic() + seconds
    while True:
        try:
            connection = socket.create_connection((host, port), timeout=HELLO_SECONDS)
            if connection.getsockname() == connection.getpeername():  # the system gave it that very port
                connection.close()
                raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens")
            link = Link(connection, "process 0")
            break
        except OSError as error:
            if time.monotonic() > until:
                raise UserError(
                    f"process 0 did not answer at {host}:{port} within {seconds:.0f} s ({error}); start it with the "
                    "same --coordinator, and let the port be open"
                ) from error
            time.sleep(0.2)
    try:
        challenge, nonce, said = (
            link.receive(_NONCE_BYTES),
            secrets.token_bytes(_NONCE_BYTES),
            json.dumps(hello).encode(),
        )
        for message in (said, nonce, _proof(key, "caller", challenge, nonce, said)):
            link.send(message)
        link.wait_at_most(None)
        if not hmac.compare_digest(link.receive(HELLO_BYTES), _proof(key, "process 0", nonce, challenge)):
            raise TeamError(
                f"what answers at {host}:{port} does not know the key; set {KEY_VARIABLE} alike in all processes"
            )
    except (TeamError, ValueError) as error:
        link.leave(0.0)
        if isinstance(error, TeamError):
            raise
        raise TeamError(f"what answers at {host}:{port} is no process of thinkaloud ({error})") from error
    return link


def _receive(host: str, port: int, hello: Mapping[str, Any], key: bytes, seconds: float | int) -> list[Link]:
    """The links to all others, in order."""
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
    """Fill `found` with the links, and `answers` with what proves to each that this is process 0."""
    until, strange = time.monotonic() + seconds, 0
    with _listen(host, port) as server:
        while len(found) < hello["count"] - 1:
            server.settimeout(max(0.01, until - time.monotonic()))
            try:
                connection, _ = server.accept()
            except TimeoutError:
                missing = [str(index) for index in range(1, hello["count"]) if index not in found]
                others = f"; {strange} came without the right {KEY_VARIABLE}" if strange else ""
                raise UserError(
                    f"process {', '.join(missing)} of {hello['count']} did not come to {host}:{port} within "
                    f"{seconds:.0f} s{others}; start every one with the same --coordinator, and let the port be open"
                ) from None
            link = Link(connection, "a process")
            try:
                link.wait_at_most(HELLO_SECONDS)
                challenge = secrets.token_bytes(_NONCE_BYTES)
                link.send(challenge)
                said, nonce, proof = (link.receive(HELLO_BYTES) for _ in range(3))
                if not hmac.compare_digest(proof, _proof(key, "caller", challenge, nonce, said)):
                    strange += 1
                    link.send(
                        f"process 0 has another key; set {KEY_VARIABLE} alike in all processes".encode(), _FAILURE
                    )
                    link.leave(time.monotonic() + 1.0)
                    continue
                other = json.loads(said)
                index, settings = int(other["process"]), dict(other["settings"])
            except (TeamError, ValueError, KeyError, TypeError):
                link.leave(0.0)  # none of ours
                continue
            answers[index] = _proof(key, "process 0", nonce, challenge)
            link.name = f"process {index}"
            link.wait_at_most(None)
            twice = index in found or not 0 < index < hello["count"]
            found[-1 if twice else index] = link  # so that it hears why
            if other["count"] != hello["count"]:
                raise UserError(
                    f"process {index} was started with --num-processes {other['count']}, process 0 with "
                    f"{hello['count']}"
                )
            if twice:
                raise UserError(f"a second process {index} came; give every process a --process-id of its own")
            require_same([hello["settings"], settings], [0, index])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        try:
            return socket.create_server((place[0], port), family=family)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            return socket.create_server(("", port), family=family)  # a name that the network translates
    except OSError as error:
        raise UserError(
            f"process 0 cannot listen at {host}:{port} ({error.strerror or error}); give --coordinator an address of "
            "its host, and a port that is free"
        ) from error


def require_same(settings: Sequence[Mapping[str, Any]], processes: Sequence[int] = ()) -> None:
    """See that all processes were started alike.

    Args:
        settings: Of each, by name; those of process 0 first.
        processes: Which they are; 0, 1, 2 ... when empty.

    Raises:
        UserError: Names a key whose value differs, with both values.
    """
    first = dict(settings[0])
    for index, other in zip(processes or range(len(settings)), settings, strict=True):
        for key in changed_keys(first, dict(other)):
            raise UserError(
                f"process {index} differs from process 0 in {key}: {_short(other.get(key))}, not "
                f"{_short(first.get(key))}; start all of them with the same recipe, options, model and version"
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def is_first() -> bool:
    """Whether this is the process that writes the run directory."""
    return _team.index == 0


def index() -> int:
    """Which process this is, from 0."""
    return _team.index


def alone() -> bool:
    """Whether there is no other process to tell, or to hear of."""
    return _team.alone


def own_rows(count: int) -> range:
    """Which of `count` rows are this process's: an equal block each, the first ones one more where it does not fit."""
    parts, index = (1, 0) if _team.alone else (_team.count, _team.index)
    base, extra = divmod(count, parts)
    first = index * base + min(index, extra)
    return range(first, first + base + (index < extra))


def share(count: int, work: Callable[[range], Sequence[T]]) -> list[T]:
    """Do `work` on this process's rows and return everybody's results, in the order of the rows."""
    return [result for part in gather(list(work(own_rows(count)))) for result in part]


def gather(value: T) -> list[T]:
    """Every process's value, in the order of processes."""
    return _team.gather(value)


def from_first(work: Callable[[], T]) -> T:
    """What `work` gives process 0, or raises there, in all processes; see `Team.from_first`."""
    return _team.from_first(work)


def leave(reason: str = "") -> None:
    """End the connections to the other processes; see `Team.leave`."""
    _team.leave(reason)
