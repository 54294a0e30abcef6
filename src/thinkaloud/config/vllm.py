"""The section `vllm` of a recipe."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from thinkaloud.config.section import EnvironmentName, NotNegative, PositiveFloat, Section, Url

ServerUrl = Annotated[Url, Field(min_length=1)]


class VllmConfig(Section):
    """Settings of the sampler vLLM (`rollout.engine = "vllm"`, `docs/vllm.md`). It samples the completions of GRPO and
    of the probe; evaluation and validation stay with the JAX sampler.

    A given server's key is never written here: `api_key_env` names the environment variable that holds it.
    """

    urls: tuple[ServerUrl, ...] = ()
    """Servers to use, such as http://10.0.0.5:8000, without /v1; rows are balanced over them. Without any, `train`
    starts one on this machine."""
    api_key_env: EnvironmentName | None = None
    """The environment variable (in capitals) that holds the key of the servers in `urls`; without it, none is sent."""
    python: Annotated[str, Field(min_length=1)] = ".venv-vllm/bin/python"
    """The interpreter of the environment that vLLM is installed in, for a started server; `make vllm` makes the
    default."""
    args: tuple[str, ...] = ()
    """Further arguments of a started server, such as `--gpu-memory-utilization=0.4`."""
    start_seconds: PositiveFloat = 900.0
    """How long a started server may take until it answers."""
    timeout_seconds: PositiveFloat = 600.0
    """Limit for one completion, the time in the server's queue included."""
    max_retries: NotNegative = 3
    """Retries of a request after a time-out, a broken connection, a server error (5xx) or an unreadable reply."""

    @model_validator(mode="after")
    def _fits(self) -> VllmConfig:
        if len(set(self.urls)) != len(self.urls):
            raise ValueError("urls must name each server once")
        if any(url.rstrip("/").endswith("/v1") for url in self.urls):
            raise ValueError("urls end before /v1, such as http://127.0.0.1:8000; remove it")
        if self.urls and self.args:
            raise ValueError(
                "args are for a server that `train` starts, but urls names servers that run; remove one of them"
            )
        if self.api_key_env and not self.urls:
            raise ValueError("api_key_env is set without urls; a server that `train` starts needs no key")
        return self
