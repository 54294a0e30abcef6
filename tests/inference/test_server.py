"""The server over real HTTP with the tiny random model: results, streams, batches, limits, hostile clients."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from starlette.testclient import TestClient

from support.tiny_runs import make_adapter
from thinkaloud.errors import UserError
from thinkaloud.fetch.models import resolve_model
from thinkaloud.inference import batch
from thinkaloud.inference.batch import Limits, decode_steps
from thinkaloud.inference.protocol import ChatRequest
from thinkaloud.inference.routes import ChatCompletions, build_app
from thinkaloud.inference.server import Server, open_server
from thinkaloud.model.load import load_model
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.tokenizer import byte_tokenizer
from thinkaloud.records import Task
from thinkaloud.rollout.decode_batch import Decoder
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
        thread = threading.Thread(target=opened.run)
        thread.start()
        yield opened
        opened.should_exit = True
        thread.join()


@pytest.fixture
def say(server: Server, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes the model answer with a text, then its stop token: random weights never keep the format."""

    def set_text(text: str) -> None:
        tokens = [*policy.contract.tokenizer.encode_plain(text), policy.contract.stop_ids[0]]

        def steps(decoder: Any, prompts: Any, **options: Any) -> Iterator[np.ndarray]:
            next(iter(decode_steps(decoder, prompts, **options)))  # the model does run
            for end in [*range(1, len(tokens), 3), len(tokens)]:
                yield np.tile(np.asarray(tokens[:end], np.int32), (len(prompts), options["choices"], 1))

        monkeypatch.setattr(batch, "decode_steps", steps)

    monkeypatch.setattr(server.chat, "limits", replace(LIMITS, max_new_tokens=128))
    return set_text


@pytest.fixture
def wellformed(say: Callable[[str], None]) -> None:
    """The model answers in the contract's format."""
    say(ANSWER)


def send(server: Server, body: Any, *, path: str = "/v1/chat/completions", **headers: str) -> tuple[int, Any]:
    """POST a body; (status, the JSON that came back)."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", path, data, {"Content-Type": "application/json", **headers})
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


def ask(question: str = "What is 2 + 2?", **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}], **fields}


def events(server: Server, body: dict[str, Any]) -> list[Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
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
    (group,) = policy.sample(adapter, [task], group_size=1, max_new_tokens=16, sampling=GREEDY, seed=0)
    (completion,) = group.completions
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


def test_concurrent_requests_share_a_batch_and_do_not_mix(
    server: Server, policy: Policy, adapter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions, sizes = ["ab", "a longer question", "c", "What is 2 + 2?"], []

    def counted(decoder: Any, prompts: Any, **options: Any) -> Iterator[np.ndarray]:
        sizes.append(len(prompts))
        return decode_steps(decoder, prompts, **options)

    monkeypatch.setattr(batch, "decode_steps", counted)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda question: send(server, ask(question)), questions))
    assert max(sizes) > 1
    for question, (status, body) in zip(questions, found, strict=True):
        assert status == 200
        assert body["choices"][0]["message"]["content"] == greedy(policy, adapter, question)


def test_reasoning_and_answer_are_separate(server: Server, wellformed: None) -> None:
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
    assert len([delta for delta in deltas if delta.get("reasoning_content")]) > 1  # in several pieces
    assert [event["choices"][0]["finish_reason"] for event in found if event["choices"]][-1] == "stop"
    assert found[-1]["usage"]["completion_tokens"] == len(ANSWER.encode()) + 1
    assert len({event["id"] for event in found}) == 1


def streamed_choice(server: Server, body: dict[str, Any]) -> dict[str, Any]:
    """What a client puts together from a stream, as the choice of a whole answer."""
    parts: dict[str, str] = {"reasoning_content": "", "content": ""}
    ending: dict[str, Any] = {}
    for event in events(server, {**body, "stream": True}):
        (choice,) = event["choices"]
        for part in parts:
            parts[part] += choice["delta"].get(part, "")
        ending = choice
    return {**parts, "finish_reason": ending["finish_reason"], "format": ending["format"]}


BROKEN = "Let me see. <reasoning>Two and two.</reasoning>"


@pytest.mark.parametrize("text", [ANSWER, BROKEN, ANSWER + " and more", "<reasoning></reasoning><answer>4</answer>"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        *({"stop": stop} for stop in ("and", "Two", "</answer>", "</reasoning>", "ur", "é", " ", "<", "25")),
        {"stop": ["four", "and two"]},
        {"max_tokens": 20},
        {"max_tokens": 45},
    ],
    ids=str,
)
def test_streamed_and_whole_answers_agree(
    server: Server, say: Callable[[str], None], text: str, fields: dict[str, Any]
) -> None:
    say(text)
    status, found = send(server, ask(**fields))
    assert status == 200
    (choice,) = found["choices"]
    message = choice["message"]
    assert {
        "reasoning_content": message["reasoning_content"] or "",
        "content": message["content"],
        "finish_reason": choice["finish_reason"],
        "format": choice["format"],
    } == streamed_choice(server, ask(**fields))


@pytest.mark.parametrize(
    ("fields", "reasoning", "content", "finish", "format"),
    [
        ({"stop": ["and", "</answer>"]}, "Two", "", "stop", "missing_reasoning"),
        ({"stop": "ur"}, "Two and two.", "fo", "stop", "missing_answer"),
        ({"stop": "</answer>"}, "Two and two.", "four é", "stop", "missing_answer"),
        ({"max_tokens": 17}, "Two an", "", "length", "truncated"),
        ({"stop": "absent"}, "Two and two.", "four é", "stop", "valid"),
    ],
)
def test_what_a_cut_answer_holds(
    server: Server, wellformed: None, fields: Any, reasoning: str, content: str, finish: str, format: str
) -> None:
    _, found = send(server, ask(**fields))
    (choice,) = found["choices"]
    message = choice["message"]
    assert (message["reasoning_content"], message["content"]) == (reasoning, content)
    assert (choice["finish_reason"], choice["format"]) == (finish, format)


def test_max_tokens(server: Server) -> None:
    _, found = send(server, ask(max_tokens=3))
    assert found["choices"][0]["finish_reason"] == "length"
    assert found["usage"]["completion_tokens"] == 3


def test_choices(server: Server) -> None:
    _, found = send(server, ask(temperature=1.5, n=3, seed=11, max_tokens=4))
    assert [choice["index"] for choice in found["choices"]] == [0, 1, 2]
    assert found["usage"]["completion_tokens"] <= 12


def test_noise_belongs_to_seed_and_row_not_to_the_size_of_a_step(policy: Policy, adapter: Any) -> None:
    prompts = [policy.contract.encode("ab"), policy.contract.encode("c")]
    sampling = Sampling(temperature=1.5, top_k=0, top_p=1.0)

    def sampled(seed: int, tokens_at_once: int) -> list[Any]:
        decoder = Decoder.build(policy.model, adapter, 2.0, sampling=sampling, stop_ids=(), seed=seed)
        (*_, last) = decode_steps(decoder, prompts, choices=2, limit=8, tokens_at_once=tokens_at_once)
        return [tuple(row) for row in last.reshape(4, -1).tolist()]

    first = sampled(11, 8)
    assert sampled(11, 3) == first
    assert len(set(first)) == 4
    assert sampled(12, 8) != first


class TestRefusals:
    def test_bad_json(self, server: Server) -> None:
        status, found = send(server, b"{")
        assert (status, found["error"]["type"]) == (400, "invalid_request_error")

    @pytest.mark.parametrize("field", ["messages", "temperature", "stop", "model"])
    def test_a_lone_surrogate_is_named_like_any_mistake(self, server: Server, field: str) -> None:
        found, body = send(server, json.dumps({**ask(), field: "\ud800"}).encode())
        assert found in (400, 404)
        assert body["error"]["param"] == field

    def test_a_body_too_large_is_not_read(self, server: Server) -> None:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
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
        ],
    )
    def test_headers(self, server: Server, headers: dict[str, str], status: int) -> None:
        found, body = send(server, ask(), **headers)
        assert (found, "message" in body["error"]) == (status, True)

    def test_a_body_in_chunks(self, server: Server) -> None:
        def post(data: bytes) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
            headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
            pieces = iter([data[:10], data[10:]])
            connection.request("POST", "/v1/chat/completions", pieces, headers, encode_chunked=True)
            status = connection.getresponse().status
            connection.close()
            return status

        assert post(json.dumps(ask(max_tokens=2)).encode()) == 200
        assert post(json.dumps(ask("x" * 5000)).encode()) == 413

    def test_a_request_that_does_not_arrive(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server.chat, "limits", replace(LIMITS, timeout_seconds=0.2))
        monkeypatch.setattr(server.config, "timeout_keep_alive", 0.2)
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        for begun, status in ((b"", b""), (b"POST /v1", b""), (head + b"Content-Length: 9\r\n\r\n{", b" 408 ")):
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
                client.sendall(begun)
                answer = b"".join(iter(lambda client=client: client.recv(4096), b""))
            assert status in answer.partition(b"\r\n")[0]
            assert bool(answer) == bool(status)

    def test_other_paths_and_methods(self, server: Server) -> None:
        assert send(server, ask(), path="/v1/completions")[0] == 404
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        for method, path, status in (("GET", "/nothing", 404), ("DELETE", "/v1/models", 405), ("GET", "/health", 200)):
            connection.request(method, path)
            response = connection.getresponse()
            assert response.status == status
            assert isinstance(json.loads(response.read()), dict)
        connection.close()

    def test_models(self, server: Server) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("GET", "/v1/models")
        assert json.loads(connection.getresponse().read())["data"][0]["id"] == "tiny"
        connection.close()

    def test_too_many_at_once(self, server: Server) -> None:
        batcher, request = server.chat.batcher, ChatRequest.model_validate(ask(max_tokens=2))
        with ExitStack() as held:
            for _ in range(LIMITS.max_requests):
                held.enter_context(batcher.submitted(request, [2])).cancelled = True
            status, found = send(server, ask())
        assert (status, found["error"]["type"]) == (429, "rate_limit_error")
        assert send(server, ask(max_tokens=2))[0] == 200

    def test_a_key(self, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("THINKALOUD_API_KEY", "secret")
        chat = ChatCompletions(policy, {}, "tiny", LIMITS)
        with TestClient(build_app(chat, host="127.0.0.1"), base_url="http://localhost") as client:
            assert client.get("/v1/models").status_code == 401
            assert client.get("/v1/models", headers={"Authorization": "Bearer wrong"}).status_code == 401
            assert client.get("/v1/models", headers={"Authorization": "Bearer secret"}).status_code == 200

    def test_invalid_requests_do_no_harm(self, server: Server) -> None:
        for data in (b"\x00\xff\x16\x03\x01\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST\r\n\r\n", b""):
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                while client.recv(4096):
                    pass
        assert send(server, ask(max_tokens=2))[0] == 200


def test_a_failure_of_the_model_is_answered_and_the_next_request_too(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise MemoryError("the device is full")

    with monkeypatch.context() as patch:
        patch.setattr(batch, "decode_steps", fail)
        for stream in (False, True):
            status, found = send(server, ask(stream=stream))
            assert (status, found["error"]["type"]) == (500, "server_error")
    assert send(server, ask(max_tokens=2))[0] == 200


def test_a_failure_within_a_stream_is_its_last_event(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(decoder: Any, prompts: Any, **options: Any) -> Iterator[np.ndarray]:
        yield np.full((len(prompts), options["choices"], 1), 70, np.int32)
        raise MemoryError("the device is full")

    monkeypatch.setattr(batch, "decode_steps", fail)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request(
        "POST", "/v1/chat/completions", json.dumps(ask(stream=True)), {"Content-Type": "application/json"}
    )
    *_, last = connection.getresponse().read().decode().strip().split("\n\n")
    connection.close()
    assert json.loads(last.removeprefix("data: "))["error"]["type"] == "server_error"


@pytest.mark.parametrize("stream", [True, False])
def test_a_disconnect_ends_the_batch(server: Server, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    steps: list[int] = []

    def endless(decoder: Any, prompts: Any, **options: Any) -> Iterator[np.ndarray]:
        for count in range(600):
            steps.append(count)
            time.sleep(0.05)
            yield np.full((len(prompts), options["choices"], 1), 70, np.int32)

    monkeypatch.setattr(batch, "decode_steps", endless)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        body = json.dumps(ask(stream=stream)).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        client.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
        if stream:
            assert b"200" in client.recv(4096)
        else:
            time.sleep(0.5)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        count = len(steps)
        time.sleep(0.5)
        if len(steps) == count:
            break
    assert 0 < len(steps) < 600


def test_stopping_completes_the_requests_in_flight(
    policy: Policy, adapter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def slow(decoder: Any, prompts: Any, **options: Any) -> Iterator[np.ndarray]:
        begun.set()
        time.sleep(1)
        yield np.full((len(prompts), options["choices"], options["limit"]), 70, np.int32)

    monkeypatch.setattr(batch, "decode_steps", slow)
    with open_server(policy, adapter, name="tiny", limits=LIMITS, port=0) as server, ThreadPoolExecutor(3) as pool:
        running = pool.submit(server.run)
        first = pool.submit(send, server, ask())
        begun.wait(60)
        queued = pool.submit(send, server, ask(temperature=0.5))  # another batch
        time.sleep(0.5)
        server.should_exit = True
        assert [sent.result(60)[0] for sent in (first, queued)] == [200, 200]
        running.result(60)


def test_limits_that_do_not_fit_the_model(policy: Policy) -> None:
    with pytest.raises(UserError, match="4096"):
        open_server(policy, {}, name="tiny", limits=replace(LIMITS, max_new_tokens=4000), port=0)


def test_an_address_that_is_taken(server: Server, policy: Policy) -> None:
    with pytest.raises(UserError, match="cannot listen on"):
        open_server(policy, {}, name="tiny", limits=LIMITS, port=server.port)
