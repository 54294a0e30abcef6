"""The official openai client against `thinkaloud serve`: answers, streams, errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from thinkaloud.inference.batch import Limits
from thinkaloud.inference.chat import open_chat
from thinkaloud.inference.server import open_server

openai = pytest.importorskip("openai", reason="openai is not installed; make test-peers has it")

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from support.tiny_runs import make_run

    run: Path = make_run(tmp_path_factory.mktemp("served") / "run", "tiny")
    chat = open_chat(run, stage="trained", allow_contract_mismatch=False)
    limits = Limits(max_new_tokens=16, max_prompt_tokens=1200)
    with open_server(chat.policy, chat.adapter, name="tiny-run", limits=limits, port=0) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        address = f"http://127.0.0.1:{server.port}/v1"
        with openai.OpenAI(base_url=address, api_key="none", max_retries=0, timeout=300) as opened:
            opened.expected = chat.ask("What is 2 + 2?", temperature=0.0, samples=1, max_new_tokens=16, seed=0)[0].text
            yield opened
        server.should_exit = True
        thread.join()


MESSAGES = [{"role": "user", "content": "What is 2 + 2?"}]


def test_an_answer(client: Any) -> None:
    found = client.chat.completions.create(model="tiny-run", messages=MESSAGES)
    assert found.choices[0].message.content == client.expected
    assert found.choices[0].message.reasoning_content is None
    assert found.choices[0].finish_reason in ("stop", "length")
    assert 1 <= found.usage.completion_tokens <= 16
    assert [model.id for model in client.models.list()] == ["tiny-run"]


def test_a_stream(client: Any) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(model="tiny-run", messages=MESSAGES, **options))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == client.expected
    assert chunks[-1].usage.completion_tokens >= 1


def test_errors_have_their_classes(client: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="single questions"):
        client.chat.completions.create(model="tiny-run", messages=[{"role": "system", "content": "x"}, *MESSAGES])
    with pytest.raises(openai.NotFoundError, match="tiny-run"):
        client.chat.completions.create(model="gpt-5", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError, match="at most 1200 tokens"):
        client.chat.completions.create(model="tiny-run", messages=[{"role": "user", "content": "x" * 2000}])
