"""OpenAI's chat completions as JSON: requests checked, responses built. No JAX.

What would change the result and is not honoured is refused by name; fields that only inform (`user`, `metadata`, ...)
are ignored. `reasoning_content` stands beside `content`, as vLLM and DeepSeek have it.

Source: OpenAI's API reference, "Create chat completion" and "Error codes".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thinkaloud.errors import type_name
from thinkaloud.storage.unicode import well_formed

MAX_STOPS = 4
MAX_STOP_CHARACTERS = 100
MAX_CHOICES = 8

NOT_HONOURED = (
    *("tools", "tool_choice", "functions", "function_call", "response_format", "logprobs", "top_logprobs"),
    *("logit_bias", "presence_penalty", "frequency_penalty", "modalities", "audio", "prediction", "web_search_options"),
)
"""Fields that must be absent, null, false, zero or empty."""

HARMLESS = {"tool_choice": "none", "response_format": {"type": "text"}, "modalities": ["text"]}
"""Values of theirs that ask for nothing."""


class BadRequest(Exception):
    """A request that gets an error object.

    Args:
        message: what was expected, what was found.
        param: the field at fault, where one is.
        status: of HTTP.
        code: OpenAI's word for it, where there is one.
        kind: OpenAI's `type`.
    """

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        status: int = 400,
        code: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A request as the server acts on it; `seed` is None where the client does not care."""

    question: str
    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    stop: tuple[str, ...]
    choices: int
    seed: int | None
    stream: bool
    stream_usage: bool


def parse_request(body: bytes, *, model: str, max_new_tokens: int) -> ChatRequest:
    """Check a request's body.

    Args:
        body: JSON.
        model: the name that this server answers to; a request that leaves `model` out is taken too.
        max_new_tokens: the most a completion may have, and what it may have where the request does not say.

    Raises:
        BadRequest: it is no JSON object, or a field has a value that cannot be honoured.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"expected a JSON object, found text that is not JSON ({str(error)[:100]})") from None
    if not isinstance(fields, dict):
        raise BadRequest(f"expected a JSON object, found {type_name(fields)}")
    if fields.get("model") not in (None, model):
        raise BadRequest(
            f"expected the model {model!r}, found {str(fields['model'])[:100]!r}",
            param="model",
            status=404,
            code="model_not_found",
        )
    for name in NOT_HONOURED:
        if fields.get(name) and fields[name] != HARMLESS.get(name):
            raise BadRequest(f"{name} is not supported here; leave it out", param=name, code="unsupported_parameter")
    limit_name = "max_completion_tokens" if fields.get("max_completion_tokens") is not None else "max_tokens"
    options = fields.get("stream_options") or {}
    if not isinstance(options, dict):
        raise BadRequest("expected an object for stream_options", param="stream_options")
    return ChatRequest(
        question=_question(fields.get("messages")),
        # Two places are finer than anyone hears, and every value of its own is a program of its own to compile.
        temperature=round(_number(fields, "temperature", 0.0, 0.0, 2.0), 2),
        top_p=round(_number(fields, "top_p", 1.0, 0.01, 1.0), 2),
        top_k=_integer(fields, "top_k", 0, 0, 1000),
        max_tokens=_integer(fields, limit_name, max_new_tokens, 1, max_new_tokens),
        stop=_stop(fields.get("stop")),
        choices=_integer(fields, "n", 1, 1, MAX_CHOICES),
        seed=None if fields.get("seed") is None else _integer(fields, "seed", 0, -(2**63), 2**63 - 1),
        stream=_flag(fields, "stream"),
        stream_usage=_flag(options, "include_usage"),
    )


def _question(messages: Any) -> str:
    """The one user message; each question stands alone, as in training, and the contract holds the system text."""
    if not isinstance(messages, list) or not messages:
        raise BadRequest("expected messages with one user message, found none", param="messages")
    roles = [message.get("role") if isinstance(message, dict) else type_name(message) for message in messages]
    if roles != ["user"]:
        raise BadRequest(
            f"expected one message, of role user, found {', '.join(str(role)[:20] for role in roles[:5])}: the model "
            "answers single questions, and its prompt contract holds the system text",
            param="messages",
        )
    content = messages[0].get("content")
    if isinstance(content, list):
        if not all(isinstance(p, dict) and p.get("type") == "text" and isinstance(p.get("text"), str) for p in content):
            raise BadRequest("expected text parts only in content", param="messages")
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str) or not content.strip():
        raise BadRequest(f"expected text as content, found {type_name(content)}", param="messages")
    return well_formed(content)  # a lone surrogate has no token


def _number(fields: Mapping[str, Any], name: str, default: float, least: float, most: float) -> float:
    value = fields.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise BadRequest(f"expected {name} from {least:g} to {most:g}, found {str(value)[:40]}", param=name)
    assert math.isfinite(value)
    return float(value)


def _integer(fields: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = fields.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadRequest(f"expected a whole {name} from {least} to {most}, found {str(value)[:40]}", param=name)
    return value


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"expected {name} to be true or false, found {type_name(value)}", param=name)
    return bool(value)


def _stop(value: Any) -> tuple[str, ...]:
    strings = [value] if isinstance(value, str) else ([] if value is None else value)
    if not isinstance(strings, list) or len(strings) > MAX_STOPS:
        raise BadRequest(f"expected stop to be a string or up to {MAX_STOPS} of them", param="stop")
    if not all(isinstance(text, str) and 0 < len(text) <= MAX_STOP_CHARACTERS for text in strings):
        raise BadRequest(f"expected stop strings of 1 to {MAX_STOP_CHARACTERS} characters", param="stop")
    return tuple(strings)


@dataclass(frozen=True, slots=True)
class Choice:
    """One finished completion; `reason` names the format's broken rule where it has one."""

    content: str
    reasoning: str | None
    finish: str
    reason: str | None
    num_tokens: int


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """OpenAI's count of tokens."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def completion(identity: str, created: int, model: str, prompt_tokens: int, choices: list[Choice]) -> dict[str, Any]:
    """The response of a request that does not stream."""
    return {
        "id": identity,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [
            {
                "index": index,
                "message": {
                    "role": "assistant",
                    "content": choice.content,
                    "reasoning_content": choice.reasoning,
                    "refusal": None,
                },
                "finish_reason": choice.finish,
                "logprobs": None,
                "format": choice.reason or "valid",
            }
            for index, choice in enumerate(choices)
        ],
        "usage": usage(prompt_tokens, sum(choice.num_tokens for choice in choices)),
    }


def chunk(
    identity: str, created: int, model: str, index: int, delta: dict[str, Any], finish: str | None = None
) -> dict[str, Any]:
    """One event of a request that streams."""
    return {
        "id": identity,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        "choices": [{"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}],
    }
