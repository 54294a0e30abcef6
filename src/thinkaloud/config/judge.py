"""The section `judge` of a recipe."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from thinkaloud.config.section import NotNegative, Positive, PositiveFloat, Section, Share


class JudgeConfig(Section):
    """A language model that marks creative answers, at an OpenAI-compatible endpoint; off without `base_url`.

    The key is never written here: `api_key_env` names the environment variable that holds it.
    """

    base_url: Annotated[str, Field(pattern=r"^(https?://[A-Za-z0-9._:\[\]-]+(/[!-\"$->A-~]*)?)?$")] = ""
    """What stands before /chat/completions, such as https://api.example.com/v1 or http://127.0.0.1:8000/v1."""
    model: str = ""
    """The judge's name at the endpoint."""
    api_key_env: Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")] | None = None
    """The name (in capitals) of an environment variable that holds the key; no key is sent when absent."""
    reward_share: Share = 0.0
    """Share of the judge's mark in the domain score of GRPO's rewards, the heuristics have the rest; 0: the judge
    is asked in evaluation only."""
    timeout_seconds: PositiveFloat = 60.0
    """Until a reply has come in full."""
    max_retries: NotNegative = 4
    """After a time-out, a refusal for load (429), a failure of the server (5xx), or a reply that is no mark."""
    concurrency: Positive = 4
    """Requests at once."""
    max_reply_tokens: Positive = 1024
    """A reply's limit; a mark takes thirty, a judge that thinks aloud needs more."""
    max_calls: Positive | None = None
    """Requests in the life of a run directory, retries and resumed sessions included; no limit when absent."""
    max_tokens: Positive | None = None
    """Tokens in the life of a run directory, prompts included, as the endpoint counts them; no limit when absent."""
    pause_after: Positive = 5
    """Requests that fail in a row before the judge is left alone for a while."""

    @property
    def on(self) -> bool:
        """Whether there is a judge."""
        return bool(self.base_url)

    @model_validator(mode="after")
    def _whole(self) -> JudgeConfig:
        try:
            _ = urlsplit(self.base_url).port
        except ValueError:
            raise ValueError("base_url is no address: write it as http://127.0.0.1:8000/v1") from None
        if self.base_url and not self.model:
            raise ValueError("base_url is set, but model is empty: name the model that the endpoint is to ask")
        if self.reward_share and not self.base_url:
            raise ValueError(
                f"reward_share is {self.reward_share}, but there is no judge: set base_url, or leave reward_share out"
            )
        return self
