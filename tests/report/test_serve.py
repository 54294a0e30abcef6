from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.cli import Run
from support.synthetic_run import grpo_row
from thinkaloud.errors import UserError
from thinkaloud.report import serve
from thinkaloud.report.serve import LivePage, Server


@pytest.fixture
def young(tmp_path: Path) -> Path:
    """A run that has just begun."""
    folder = tmp_path / "young"
    folder.mkdir()
    (folder / "recipe.toml").write_text('name = "young"')
    (folder / "secret.txt").write_text("not for the page")
    return folder


@contextmanager
def served(live: LivePage) -> Iterator[Server]:
    with Server(live, 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server: Server, method: str = "GET", path: str = "/", **headers: str) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def append(folder: Path, step: int) -> None:
    import random

    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(grpo_row(step, 10, random.Random(step))) + "\n")


def test_the_page_is_served_and_follows(young: Path) -> None:
    with served(LivePage(young, 0)) as server:
        status, body, headers = ask(server)
        assert (status, headers["cache-control"], headers["x-frame-options"]) == (200, "no-store", "DENY")
        assert b"young" in body
        assert b'data-live="1"' in body
        assert b"connect-src 'self'" in body
        assert ask(server, If_None_Match=headers["etag"])[:2] == (304, b"")
        append(young, 1)
        append(young, 2)
        status, body, changed = ask(server, If_None_Match=headers["etag"])
        assert (status, b"Over 2 GRPO steps" in body) == (200, True)
        assert changed["etag"] != headers["etag"]


def test_only_this_page_only_reading_only_from_here(young: Path) -> None:
    with served(LivePage(young, 0)) as server:
        assert server.server_address[0] == "127.0.0.1"
        for path in ("/secret.txt", "/../young/secret.txt", "//etc/passwd", "/report.html", "/%2e%2e/secret.txt"):
            status, body, _ = ask(server, path=path)
            assert (status, b"not for the page" in body) == (404, False)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            assert ask(server, method)[0] == 501
        assert ask(server, Host="evil.example:80")[0] == 403
        assert ask(server, "HEAD")[1] == b""
        assert ask(server, Host=f"localhost:{server.server_port}")[0] == 200


def test_one_making_serves_all_until_something_changes(young: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    monkeypatch.setattr(serve, "page", lambda run, live_seconds: made.append(live_seconds) or f"page {len(made)}")
    live = LivePage(young, 0)
    assert {live.current()[0] for _ in range(50)} == {b"page 1"}
    append(young, 1)
    assert live.current()[0] == b"page 2"
    (young / "rollouts").mkdir()
    assert live.current()[0] == b"page 2", "what the page does not show makes no work"
    slow = LivePage(young, 3600)
    assert slow.current()[0] == b"page 3"
    append(young, 2)
    assert slow.current()[0] == b"page 3", "not before the interval is over"
    assert made == [1, 1, 3600]


def test_a_run_that_goes_away_leaves_its_last_page(young: Path) -> None:
    live = LivePage(young, 0)
    before = live.current()
    (young / "recipe.toml").unlink()
    assert live.current() == before


def test_mistakes(young: Path, tmp_path: Path, run: Run) -> None:
    assert "expected a run directory" in run("watch", str(tmp_path / "absent")).mistake
    with served(LivePage(young, 0)) as server, pytest.raises(UserError, match="--port"):
        Server(LivePage(young, 0), server.server_port)
