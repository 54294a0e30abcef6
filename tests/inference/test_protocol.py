"""OpenAI's JSON: what is accepted, and what is rejected by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from thinkaloud.inference.protocol import ApiError, ChatRequest, parse_request

MESSAGES = [{"role": "user", "content": "What is 2 + 2?"}]


def parse(**fields: Any) -> ChatRequest:
    return parse_request(json.dumps({"messages": MESSAGES, **fields}).encode(), model="m", max_new_tokens=64)


def test_defaults_are_greedy_and_the_server_s_limit() -> None:
    asked = parse()
    assert (asked.question, asked.limit, asked.stop, asked.n, asked.seed) == ("What is 2 + 2?", 64, [], 1, None)
    assert (asked.temperature, asked.top_p, asked.top_k) == (0.0, 1.0, 0)
    assert (asked.stream, asked.stream_options.include_usage) == (False, False)
    assert parse(temperature=None, max_tokens=None, stop=None, stream_options=None, tools=None) == asked


def test_supported_fields() -> None:
    harmless = {"user": "x", "tool_choice": "none", "response_format": {"type": "text"}, "presence_penalty": 0}
    wanted = {"temperature": 0.7, "top_p": 0.9, "max_completion_tokens": 5, "stop": "END", "n": 2, "seed": 3}
    asked = parse(model="m", stream=True, stream_options={"include_usage": True}, **wanted, **harmless)
    assert (asked.temperature, asked.top_p, asked.limit, asked.stop) == (0.7, 0.9, 5, ["END"])
    assert (asked.n, asked.seed, asked.stream, asked.stream_options.include_usage) == (2, 3, True, True)
    parts = [{"type": "text", "text": "What "}, {"type": "text", "text": "is it?"}]
    assert parse(messages=[{"role": "user", "content": parts}]).question == "What is it?"


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"messages": []}, "messages", "role user"),
        ({"messages": [{"role": "system", "content": "x"}, *MESSAGES]}, "messages", "'system', 'user'"),
        ({"messages": [*MESSAGES, {"role": "assistant", "content": "4"}, *MESSAGES]}, "messages", "single questions"),
        ({"messages": ["hi"]}, "messages", "'hi'"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages", "text parts"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 3}]}]}, "messages", "text parts"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages", "text as content"),
        ({"temperature": -1}, "temperature", "greater than or equal to 0"),
        ({"temperature": "hot"}, "temperature", "hot"),
        ({"temperature": float("nan")}, "temperature", "nan"),
        ({"temperature": True}, "temperature", "True"),
        ({"n": True}, "n", "True"),
        ({"seed": 1.5}, "seed", "1.5"),
        ({"top_p": 0}, "top_p", "0.01"),
        ({"max_tokens": 65}, "max_tokens", "from 1 to 64"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"max_completion_tokens": 65}, "max_completion_tokens", "from 1 to 64"),
        ({"n": 1000}, "n", "less than or equal to 8"),
        ({"stop": ["a"] * 5}, "stop", "at most 4"),
        ({"stop": ""}, "stop", "at least 1"),
        ({"stream": "yes"}, "stream", "boolean"),
        ({"stream_options": 3}, "stream_options", "StreamOptions"),
        ({"tools": [{"type": "function"}]}, "tools", "not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format", "not supported"),
        ({"seed": 2**70}, "seed", "less than"),
    ],
)
def test_mistakes_are_named(fields: dict[str, Any], param: str, said: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse(**fields)
    error = caught.value.body["error"]
    assert (caught.value.status, error["param"], error["type"]) == (400, param, "invalid_request_error")
    assert said in error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_bodies_that_are_no_object(body: bytes) -> None:
    with pytest.raises(ApiError, match="expected a JSON object"):
        parse_request(body, model="m", max_new_tokens=64)


def test_another_model() -> None:
    with pytest.raises(ApiError) as caught:
        parse(model="gpt-5")
    assert (caught.value.status, caught.value.body["error"]["code"]) == (404, "model_not_found")


def test_a_lone_surrogate_is_replaced() -> None:
    body = b'{"messages": [{"role": "user", "content": "a\\ud800b"}]}'
    assert parse_request(body, model="m", max_new_tokens=1).question == "a\ufffdb"
