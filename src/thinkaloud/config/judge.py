"""The section `judge` of a recipe."""

from __future__ import annotations

from pydantic import model_validator

from thinkaloud.config.section import Budget, EnvironmentName, NotNegative, Positive, PositiveFloat, Section, Share, Url


class JudgeConfig(Section):
    """A language model that marks creative answers, at an OpenAI-compatible endpoint; off without `base_url`.

    The key is never written here: `api_key_env` names the environment variable that holds it.
    """

    base_url: Url = ""
    """The part of the URL before /chat/completions, such as https://api.example.com/v1 or http://127.0.0.1:8000/v1."""
    model: str = ""
    """The model's name at the endpoint."""
    api_key_env: EnvironmentName | None = None
    """The environment variable (in capitals) that holds the key; no key is sent when absent."""
    reward_share: Share = 0.0
    """Weight of the judge's mark in the domain score of GRPO's rewards; the heuristics have the rest. With 0 the judge
    is asked in evaluation only."""
    timeout_seconds: PositiveFloat = 60.0
    """Limit for a complete reply."""
    max_retries: NotNegative = 4
    """Retries after a time-out, a rate limit (429), a server error (5xx), or a reply without marks."""
    concurrency: Positive = 4
    """Concurrent requests."""
    max_reply_tokens: Positive = 1024
    """Token limit of a reply; marks take about thirty, a reasoning model needs more."""
    max_calls: Budget | None = None
    """Total requests of a run directory, including retries and resumed sessions; no limit when absent."""
    max_tokens: Budget | None = None
    """Total tokens of a run directory, including prompts, as counted by the endpoint; no limit when absent."""
    pause_after: Positive = 5
    """Consecutive failed requests before the judge is paused."""

    @property
    def on(self) -> bool:
        """Whether there is a judge."""
        return bool(self.base_url)

    @model_validator(mode="after")
    def _whole(self) -> JudgeConfig:
        if self.base_url and not self.model:
            raise ValueError("base_url is set, but model is empty: set the model's name at the endpoint")
        if self.reward_share and not self.base_url:
            raise ValueError(
                f"reward_share is {self.reward_share}, but there is no judge: set base_url, or remove reward_share"
            )
        return self
