"""The server over real HTTP, with the tiny random model: results, streams, batches, limits, hostile clients."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import jax
import pytest

from support.tiny_runs import make_adapter
from thinkaloud.errors import UserError
from thinkaloud.fetch.models import resolve_model
from thinkaloud.inference import Limits, open_server
from thinkaloud.inference.http import Server
from thinkaloud.inference.stepping import Stepper
from thinkaloud.model.load import load_model
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import byte_tokenizer
from thinkaloud.records import Task
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import GREEDY, Sampling

LIMITS = Limits(max_new_tokens=16, max_prompt_tokens=256, max_requests=8, max_body_bytes=4000, gather_seconds=0.2)
ANSWER = "<reasoning>Two and two.</reasoning>\n<answer>four é</answer>"


@pytest.fixture(scope="module")
def policy() -> Policy:
    contract = PromptContract.build(byte_tokenizer(), template="gemma", system="S")
    return Policy(load_model(resolve_model("tiny"), "float32"), contract, 2.0)


@pytest.fixture(scope="module")
def adapter(policy: Policy) -> Any:
    return jax.tree.map(jax.numpy.asarray, make_adapter(policy.model.config, 2, ("q", "down")))


@pytest.fixture(scope="module")
def server(policy: Policy, adapter: Any) -> Iterator[Server]:
    with open_server(policy, adapter, name="tiny", limits=LIMITS, port=0) as opened:
        threading.Thread(target=opened.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield opened
        opened.shutdown()


@pytest.fixture
def wellformed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model answers in the contract's format, which random weights never do."""
    from thinkaloud.inference.stepping import Progress

    real = Stepper.run
    said = [*server.policy.contract.tokenizer.encode_plain(ANSWER), server.policy.contract.stop_ids[0]]

    def run(self: Stepper, prompts: Any, **options: Any) -> Iterator[Progress]:
        import numpy as np

        next(iter(real(self, prompts, **options)))  # the model does run
        for end in [*range(1, len(said), 3), len(said)]:
            tokens = np.tile(np.asarray(said[:end], np.int32), (len(prompts), options["choices"], 1))
            yield Progress(tokens, np.full(tokens.shape[:2], end == len(said)))

    monkeypatch.setattr(Stepper, "run", run)
    monkeypatch.setattr(server, "limits", replace(LIMITS, max_new_tokens=128))


def send(server: Server, body: Any, *, path: str = "/v1/chat/completions", **headers: str) -> tuple[int, Any]:
    """POST a body; (status, the JSON that came back)."""
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=120)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", path, data, {"Content-Type": "application/json", **headers})
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


def ask(question: str = "What is 2 + 2?", **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}], **fields}


def events(server: Server, body: dict[str, Any]) -> list[Any]:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=120)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.headers["Content-Type"].startswith("text/event-stream")
    lines = [line for line in response.read().decode().split("\n\n") if line]
    connection.close()
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def greedy(policy: Policy, adapter: Any, question: str) -> str:
    task = Task(id="x", domain="", source="", question=question, answer="")
    ((completion,),) = policy.complete(adapter, [task], group_size=1, max_new_tokens=16, sampling=GREEDY, seed=0)
    return completion.text


def test_the_text_is_that_of_generate(server: Server, policy: Policy, adapter: Any) -> None:
    status, found = send(server, ask())
    assert status == 200
    (choice,) = found["choices"]
    assert choice["message"]["content"] == greedy(policy, adapter, "What is 2 + 2?")
    assert choice["message"]["reasoning_content"] is None
    assert choice["format"] in ("truncated", "missing_reasoning")
    prompt = len(policy.contract.encode("What is 2 + 2?"))
    assert found["usage"]["prompt_tokens"] == prompt
    assert found["usage"]["total_tokens"] == prompt + found["usage"]["completion_tokens"]
    assert found["object"] == "chat.completion"


def test_concurrent_requests_share_a_batch_and_do_not_mix(server: Server, policy: Policy, adapter: Any) -> None:
    questions = ["ab", "a longer question", "c", "What is 2 + 2?"]
    before = len(server.batcher.batch_sizes)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda question: send(server, ask(question)), questions))
    assert max(server.batcher.batch_sizes[before:]) > 1
    for question, (status, body) in zip(questions, found, strict=True):
        assert status == 200
        assert body["choices"][0]["message"]["content"] == greedy(policy, adapter, question)


def test_reasoning_apart_from_the_answer(server: Server, wellformed: None) -> None:
    status, found = send(server, ask())
    message = found["choices"][0]["message"]
    assert (status, message["reasoning_content"], message["content"]) == (200, "Two and two.", "four é")
    assert (found["choices"][0]["finish_reason"], found["choices"][0]["format"]) == ("stop", "valid")


def test_a_stream_adds_up_to_the_same(server: Server, wellformed: None) -> None:
    found = events(server, ask(stream=True, stream_options={"include_usage": True}))
    deltas = [event["choices"][0]["delta"] for event in found if event["choices"]]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "Two and two."
    assert "".join(delta.get("content", "") for delta in deltas) == "four é"
    assert len([delta for delta in deltas if delta.get("reasoning_content")]) > 1  # in pieces, as they come
    assert [event["choices"][0]["finish_reason"] for event in found if event["choices"]][-1] == "stop"
    assert found[-1]["usage"]["completion_tokens"] == len(ANSWER.encode()) + 1
    assert len({event["id"] for event in found}) == 1


def test_stop_strings(server: Server, wellformed: None) -> None:
    _, found = send(server, ask(stop=["and", "</answer>"]))
    (choice,) = found["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("<reasoning>Two ", "stop")
    streamed = events(server, ask(stop=["and"], stream=True))
    pieces = [event["choices"][0]["delta"].get("reasoning_content", "") for event in streamed]
    assert "".join(pieces) == "Two"


def test_max_tokens(server: Server) -> None:
    _, found = send(server, ask(max_tokens=3))
    assert found["choices"][0]["finish_reason"] == "length"
    assert found["usage"]["completion_tokens"] == 3


def test_choices(server: Server) -> None:
    _, found = send(server, ask(temperature=1.5, n=3, seed=11, max_tokens=4))
    assert [choice["index"] for choice in found["choices"]] == [0, 1, 2]
    assert found["usage"]["completion_tokens"] <= 12


def test_noise_belongs_to_seed_and_row_not_to_the_size_of_a_step(policy: Policy, adapter: Any) -> None:
    stepper, prompts = Stepper(policy, adapter), [policy.contract.encode("ab"), policy.contract.encode("c")]

    def sampled(seed: int, tokens_at_once: int) -> list[Any]:
        sampling = Sampling(temperature=1.5, top_k=0, top_p=1.0)
        options = {"choices": 2, "limit": 8, "sampling": sampling, "tokens_at_once": tokens_at_once}
        (*_, last) = stepper.run(prompts, seed=seed, **options)
        return [tuple(row) for row in last.tokens.reshape(4, -1).tolist()]

    first = sampled(11, 8)
    assert sampled(11, 3) == first
    assert len(set(first)) == 4
    assert sampled(12, 8) != first


class TestRefusals:
    def test_bad_json(self, server: Server) -> None:
        status, found = send(server, b"{")
        assert (status, found["error"]["type"]) == (400, "invalid_request_error")

    def test_a_body_too_large_is_not_read(self, server: Server) -> None:
        with socket.create_connection(server.server_address[:2], timeout=20) as client:
            head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            client.sendall(f"{head}Content-Length: 999999999\r\n\r\n".encode())
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert b" 413 " in answer.splitlines()[0]
        assert b"at most 4000 bytes" in answer

    def test_a_prompt_too_long(self, server: Server) -> None:
        status, found = send(server, ask("x" * 300))
        assert (status, found["error"]["code"]) == (400, "context_length_exceeded")

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Content-Type": "text/plain"}, 415),
            ({"Host": "evil.example"}, 403),
            ({"Host": "localhost.evil.example:80"}, 403),
            ({"Content-Length": "-1"}, 411),
        ],
    )
    def test_headers(self, server: Server, headers: dict[str, str], status: int) -> None:
        found, body = send(server, ask(), **headers)
        assert (found, "message" in body["error"]) == (status, True)

    def test_other_paths_and_methods(self, server: Server) -> None:
        assert send(server, ask(), path="/v1/completions")[0] == 404
        connection = http.client.HTTPConnection(*server.server_address[:2], timeout=20)
        for method, path, status in (("GET", "/nothing", 404), ("DELETE", "/v1/models", 501), ("GET", "/health", 200)):
            connection.request(method, path)
            response = connection.getresponse()
            assert response.status == status
            assert isinstance(json.loads(response.read()), dict)
        connection.close()

    def test_models(self, server: Server) -> None:
        connection = http.client.HTTPConnection(*server.server_address[:2], timeout=20)
        connection.request("GET", "/v1/models")
        assert json.loads(connection.getresponse().read())["data"][0]["id"] == "tiny"
        connection.close()

    def test_too_many_at_once(self, server: Server) -> None:
        taken = 0
        while server.places.acquire(blocking=False):
            taken += 1
        try:
            status, found = send(server, ask())
        finally:
            for _ in range(taken):
                server.places.release()
        assert taken == LIMITS.max_requests
        assert (status, found["error"]["type"]) == (429, "rate_limit_error")
        assert send(server, ask(max_tokens=2))[0] == 200

    def test_a_key(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server, "key", b"secret")
        assert send(server, ask())[0] == 401
        assert send(server, ask(), Authorization="Bearer wrong")[0] == 401
        assert send(server, ask(max_tokens=2), Authorization="Bearer secret")[0] == 200

    def test_rubbish_hurts_no_one(self, server: Server) -> None:
        for rubbish in (b"\x00\xff\x16\x03\x01\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST\r\n\r\n", b""):
            with socket.create_connection(server.server_address[:2], timeout=20) as client:
                client.sendall(rubbish)
                client.shutdown(socket.SHUT_WR)
                while client.recv(4096):
                    pass
        assert send(server, ask(max_tokens=2))[0] == 200


def test_a_failure_of_the_model_is_answered_and_the_next_request_too(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Stepper, prompts: Any, **options: Any) -> Any:
        raise MemoryError("the device is full")

    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "run", fail)
        for stream in (False, True):
            status, found = send(server, ask(stream=stream))
            assert (status, found["error"]["type"]) == (500, "server_error")
    assert send(server, ask(max_tokens=2))[0] == 200


def test_a_client_that_goes_away_ends_its_batch(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    real: Callable[..., Any] = Stepper.run

    def endless(self: Stepper, prompts: Any, **options: Any) -> Any:
        (first,) = [progress for progress, _ in zip(real(self, prompts, **options), range(1), strict=False)]
        for count in range(600):
            steps.append(count)
            time.sleep(0.05)
            yield replace(first, done=first.done & False, tokens=first.tokens[:, :, :1] * 0 + 70)

    monkeypatch.setattr(Stepper, "run", endless)
    with socket.create_connection(server.server_address[:2], timeout=20) as client:
        body = json.dumps(ask(stream=True)).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        client.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
        assert b"200" in client.recv(4096)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        count = len(steps)
        time.sleep(0.5)
        if len(steps) == count:
            break
    assert 0 < len(steps) < 600


def test_limits_that_do_not_fit_the_model(policy: Policy) -> None:
    with pytest.raises(UserError, match="attends to 4096 in all"):
        open_server(policy, {}, name="tiny", limits=replace(LIMITS, max_new_tokens=4000), port=0)


def test_an_address_that_is_taken(server: Server, policy: Policy) -> None:
    with pytest.raises(UserError, match="cannot listen on"):
        open_server(policy, {}, name="tiny", limits=LIMITS, port=int(server.server_address[1]))
