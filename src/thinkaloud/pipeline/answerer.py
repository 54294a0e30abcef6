"""Who answers the tasks for the cold start's rows: the base itself, a local teacher, or a teacher at an endpoint.

Each is asked in its own chat template: by the contract after one worked example, or in verifiable domains by the
question alone if `cold_start.reading` says so. Its text is read by the run's contract.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

from thinkaloud.config import JudgeConfig, ModelSource, Recipe
from thinkaloud.distributed.agreement import from_first, is_first
from thinkaloud.domains import registry_of
from thinkaloud.errors import UserError
from thinkaloud.evaluate.readings import reading_policy
from thinkaloud.judge import read_key
from thinkaloud.judge.failure import Failed
from thinkaloud.model.load import load_model
from thinkaloud.pipeline.context import TrainContext
from thinkaloud.pipeline.stopping import StopRequested
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.records import Completion, Finish, RolloutGroup, Task
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.sampling import Sampling

SETTING = "cold_start.teacher_"
"""What the endpoint's keys in a recipe begin with."""
RETRIES = 4
"""After the first try of a request that may succeed later."""
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
CONCURRENCY = 4
"""Concurrent requests to an endpoint."""
CHECK_SECONDS = 0.1
"""How often a wait for replies looks for a signal to stop."""


@runtime_checkable
class Answerer(Protocol):
    """Answers tasks; `name` is the origin of the rows."""

    @property
    def name(self) -> str: ...

    def can_ask(self, task: Task) -> bool:
        """Whether the task's prompt, with the example, and an answer fit."""
        ...

    def answer(self, tasks: Sequence[Task], seed: int) -> list[RolloutGroup]:
        """`self_samples` completions of each task, the same in all processes of a run."""
        ...


def check_teacher(recipe: Recipe) -> None:
    """Check before a run that the recipe's teacher can be opened, as far as that is cheap.

    Raises:
        UserError: Its files are missing, its chat template is not known, or the endpoint's key is missing.
    """
    config = recipe.cold_start
    if config.max_steps and config.teacher:
        open_contract(_with_teacher(recipe))
    if config.max_steps and config.teacher_base_url and is_first():
        read_key(config.teacher_api_key_env, SETTING)


def open_answerer(context: TrainContext, examples: Mapping[str, Task]) -> Answerer:
    """The answerer that the recipe names.

    Args:
        context: The run.
        examples: One training task of each domain that has one with a rationale.
    """
    recipe, config = context.recipe, context.recipe.cold_start
    if config.source == "self":
        return PolicyAnswerer("self", _asking(context.policy, examples, recipe), recipe)
    if config.teacher:
        teacher = _with_teacher(recipe)
        files, contract = open_contract(teacher, context.display.note)
        policy = Policy(load_model(files, recipe.model.dtype, recipe.mesh_sizes), contract, 1.0)
        return PolicyAnswerer(f"teacher:{files.name}", _asking(policy, examples, recipe), recipe)
    return EndpointAnswerer(context, examples)


def _with_teacher(recipe: Recipe) -> Recipe:
    source = ModelSource(source=recipe.cold_start.teacher, dtype=recipe.model.dtype)
    return recipe.model_copy(update={"model": source})


def _asking(policy: Policy, examples: Mapping[str, Task], recipe: Recipe) -> Policy:
    """The policy that asks as `cold_start.reading` says."""
    by_example = reading_policy(policy, "example", {name: [task] for name, task in examples.items()}) or policy
    plain, plain_domains = reading_policy(policy, "plain", {}), _asked_plainly(recipe)
    if plain is None or not plain_domains:
        return by_example
    return replace(policy, prompt=lambda task: (plain if task.domain in plain_domains else by_example).encode(task))


def _asked_plainly(recipe: Recipe) -> frozenset[str]:
    """The domains whose tasks are asked by the question alone."""
    registry = registry_of(recipe)
    plain = recipe.cold_start.reading == "plain"
    return frozenset(name for name in recipe.data.domains if plain and registry.is_verifiable(name))


@dataclass(frozen=True, slots=True)
class PolicyAnswerer:
    """Samples from a model with our own sampler."""

    name: str
    policy: Policy
    recipe: Recipe

    def can_ask(self, task: Task) -> bool:
        limit = self.policy.model.config.max_position - self.recipe.rollout.max_new_tokens
        return len(self.policy.encode(task)) <= limit

    def answer(self, tasks: Sequence[Task], seed: int) -> list[RolloutGroup]:
        return self.policy.sample(
            {},
            tasks,
            group_size=self.recipe.cold_start.self_samples,
            max_new_tokens=self.recipe.rollout.max_new_tokens,
            sampling=Sampling.of(self.recipe.rollout),
            seed=seed,
        )


class EndpointAnswerer:
    """Asks a model at an OpenAI-compatible endpoint; the primary process alone sends requests.

    Raises:
        UserError: The endpoint's key is missing.
    """

    def __init__(self, context: TrainContext, examples: Mapping[str, Task]) -> None:
        config = context.recipe.cold_start
        self._contract, self._examples = context.session.contract, examples
        self._plain_domains = _asked_plainly(context.recipe)
        self._samples, self._check = config.self_samples, context.stop.check
        self._endpoint: Any = None
        self.name = f"teacher:{config.teacher_model}"
        if is_first():
            from thinkaloud.judge.endpoint import Endpoint  # loads openai

            settings = JudgeConfig(
                base_url=config.teacher_base_url,
                model=config.teacher_model,
                timeout_seconds=config.teacher_timeout_seconds,
                max_reply_tokens=config.teacher_max_reply_tokens,
            )
            forms: tuple[dict[str, Any], ...] = (
                {"temperature": context.recipe.rollout.temperature, "limit": "max_tokens"},
                {"limit": "max_completion_tokens"},
            )
            key = read_key(config.teacher_api_key_env, SETTING)
            self._endpoint = Endpoint(settings, key, forms=forms, setting=SETTING)

    def can_ask(self, task: Task) -> bool:
        return True

    def answer(self, tasks: Sequence[Task], seed: int) -> list[RolloutGroup]:
        return from_first(partial(self._answer, tasks), list[RolloutGroup], raises=(StopRequested,))

    def _answer(self, tasks: Sequence[Task]) -> list[RolloutGroup]:
        asked = [self.messages(task) for task in tasks for _ in range(self._samples)]
        stop, pool = threading.Event(), ThreadPoolExecutor(CONCURRENCY)
        try:
            pending = [pool.submit(self._completion, one, stop) for one in asked]
            while wait(pending, CHECK_SECONDS, FIRST_EXCEPTION).not_done:
                self._check()
                if any(one.done() and one.exception() for one in pending):
                    break
            found = iter([one.result() for one in pending])
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
        return [
            RolloutGroup(task=task, prompt_ids=(), completions=tuple(next(found) for _ in range(self._samples)))
            for task in tasks
        ]

    def messages(self, task: Task) -> list[dict[str, str]]:
        """The chat that asks a task, without a template: the question alone, or the contract's texts with the worked
        example as an earlier turn."""
        contract = self._contract
        if task.domain in self._plain_domains:
            return [{"role": "user", "content": task.question}]
        example = self._examples.get(task.domain) or next(iter(self._examples.values()), None)
        turns = [("user", contract.user_text(task.question))]
        if example:
            reply = contract.render_completion(example.rationale, example.answer)
            turns = [("user", contract.user_text(example.question)), ("assistant", reply), *turns]
        return [{"role": role, "content": text} for role, text in turns]

    def _completion(self, messages: list[dict[str, str]], stop: threading.Event) -> Completion:
        """A reply; one that was cut or has no text counts as truncated.

        Raises:
            UserError: The endpoint does not answer.
        """
        for tries in itertools.count():
            try:
                return Completion(text=self._endpoint.ask(messages).content.strip())
            except Failed as error:
                if error.again and not error.down:
                    break
                if not error.again or tries >= RETRIES or stop.is_set():
                    raise UserError(
                        f"expected a reply of the teacher, found none: {error}; fix it, then continue with --resume"
                    ) from None
                stop.wait(min(LONGEST_WAIT_SECONDS, max(FIRST_WAIT_SECONDS * 2**tries, error.wait_seconds or 0.0)))
        return Completion(text="", finish=Finish.LENGTH)
