"""OpenAI's chat completions as JSON: validates requests and builds responses. No JAX.

Fields that would change the result but are not supported are rejected by name; fields that only inform (`user`,
`metadata`, ...) are ignored. Reasoning is returned as `reasoning_content` beside `content`, as in vLLM
and DeepSeek.

Source: OpenAI's API reference, "Create chat completion" and "Error codes".
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from thinkaloud.inference.deltas import Choice

UNSUPPORTED = (
    *("tools", "tool_choice", "functions", "function_call", "response_format", "logprobs", "top_logprobs"),
    *("logit_bias", "presence_penalty", "frequency_penalty", "modalities", "audio", "prediction", "web_search_options"),
)
"""Fields that must be absent, null, false, zero or empty."""

NEUTRAL = {"tool_choice": "none", "response_format": {"type": "text"}, "modalities": ["text"]}
"""Values of unsupported fields that request nothing."""


class ApiError(Exception):
    """A request that is answered with OpenAI's error object; `kind` is its `type`."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _question(messages: Any) -> str:
    """The text of the one user message: the model answers single questions, and the contract holds the system text."""
    roles = [m.get("role") if isinstance(m, dict) else m for m in messages] if isinstance(messages, list) else messages
    if roles != ["user"]:
        raise ValueError(
            f"expected one message of role user (the model answers single questions), found {roles!r}"[:200]
        )
    content = messages[0].get("content")
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        if len(texts) < len(content) or not all(isinstance(text, str) for text in texts):
            raise ValueError("expected only text parts in content")
        content = "".join(map(str, texts))
    if not isinstance(content, str) or not content.strip():
        raise ValueError("expected text as content")
    return content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # a lone surrogate has no token


Hundredths = AfterValidator(lambda value: round(value, 2))
"""Two decimals suffice, and every distinct value compiles its own program."""
MaxTokens = Annotated[int, Field(ge=1)]
StopString = Annotated[str, Field(min_length=1, max_length=100)]


class StreamOptions(BaseModel):
    model_config = ConfigDict(strict=True)
    include_usage: bool = False


class ChatRequest(BaseModel):
    """A request with OpenAI's field names; `messages` is reduced to the question. `seed` None: any."""

    model_config = ConfigDict(strict=True, frozen=True)
    question: Annotated[str, BeforeValidator(_question), Field(validation_alias="messages")]
    temperature: Annotated[float, Field(ge=0, le=2), Hundredths] = 0.0
    top_p: Annotated[float, Field(ge=0.01, le=1), Hundredths] = 1.0
    top_k: Annotated[int, Field(ge=0, le=1000)] = 0
    max_tokens: MaxTokens
    max_completion_tokens: MaxTokens | None = None
    stop: Annotated[
        list[StopString], BeforeValidator(lambda stop: [stop] if isinstance(stop, str) else stop), Field(max_length=4)
    ] = []
    n: Annotated[int, Field(ge=1, le=8)] = 1
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()

    @property
    def limit(self) -> int:
        """The most tokens a completion may have."""
        return self.max_completion_tokens or self.max_tokens


def parse_request(body: bytes, *, model: str, max_new_tokens: int) -> ChatRequest:
    """Validate a request body.

    Args:
        body: JSON.
        model: The name of the served model; a request may omit it.
        max_new_tokens: The limit per completion, and its default.

    Raises:
        ApiError: The body is not a JSON object, or a field has an unsupported value.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(f"expected a JSON object, found invalid JSON ({str(error)[:100]})") from None
    if not isinstance(fields, dict):
        raise ApiError(f"expected a JSON object, found {type(fields).__name__}")
    fields = {name: value for name, value in fields.items() if value is not None}
    if fields.get("model", model) != model:
        message = f"expected the model {model!r}, found {str(fields['model'])[:100]!r}"
        raise ApiError(message, status=404, param="model", code="model_not_found")
    for name in UNSUPPORTED:
        if fields.get(name) and fields[name] != NEUTRAL.get(name):
            raise ApiError(f"{name} is not supported; omit it", param=name, code="unsupported_parameter")
    try:
        request = ChatRequest.model_validate({"messages": [], "max_tokens": max_new_tokens, **fields})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        found = "" if name == "messages" else f", found {first['input']!r:.40}"
        raise ApiError(f"{name}: {first['msg']}{found}", param=name) from None
    if request.limit > max_new_tokens:
        name = "max_tokens" if request.max_completion_tokens is None else "max_completion_tokens"
        raise ApiError(f"expected {name} from 1 to {max_new_tokens}, found {request.limit}", param=name)
    return request


@dataclass(frozen=True, slots=True)
class Reply:
    """Builds the parts of one response."""

    model: str
    prompt_tokens: int
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, choices: Sequence[Choice]) -> dict[str, Any]:
        """The response of a request that does not stream."""
        listed = [
            {
                "index": index,
                "message": {
                    "role": "assistant",
                    "content": choice.content,
                    "reasoning_content": choice.reasoning or None,
                    "refusal": None,
                },
                "finish_reason": choice.finish,
                "logprobs": None,
                "format": choice.format,
            }
            for index, choice in enumerate(choices)
        ]
        return {**self._head("chat.completion"), "choices": listed, "usage": self._usage(choices)}

    def chunk(self, index: int, delta: dict[str, Any], **ending: Any) -> dict[str, Any]:
        """One event of a stream; the last one of a choice has `finish_reason` and `format`."""
        choice = {"index": index, "delta": delta, "finish_reason": None, "logprobs": None, **ending}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def usage_chunk(self, choices: Sequence[Choice]) -> dict[str, Any]:
        """The last event, where `stream_options.include_usage` requests it."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": self._usage(choices)}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _usage(self, choices: Sequence[Choice]) -> dict[str, int]:
        completion = sum(choice.num_tokens for choice in choices)
        total = self.prompt_tokens + completion
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": completion, "total_tokens": total}
