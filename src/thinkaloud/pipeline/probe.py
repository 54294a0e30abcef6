"""The probe before GRPO: pass rates of training tasks under the policy that GRPO starts from."""

from __future__ import annotations

from typing import Any

from thinkaloud.data.curriculum import Curriculum
from thinkaloud.distributed.agreement import from_first, is_first, shared_clock
from thinkaloud.model.lora import Adapter
from thinkaloud.pipeline.context import TrainContext
from thinkaloud.rollout.sampling import Sampling
from thinkaloud.seeding import derive_seed

FILE = "probe.json"
"""File of a run directory: the pass rates of the probe, and how many of its tasks are done."""

LITTLE = 0.9
"""From this share of tasks on that are always or never solved, a domain has little signal."""


def probe(context: TrainContext, adapter: Adapter, curriculum: Curriculum) -> dict[str, Any]:
    """Sample some completions of some training tasks; returns the curriculum's state after it.

    The state is saved after every batch, so that an interrupted probe continues where it stopped. With a deadline, the
    probe gets at most its share of the time that is left.
    """
    config, rollout, grpo = context.recipe.curriculum, context.recipe.rollout, context.recipe.grpo
    completions = config.probe_share * grpo.max_steps * rollout.prompts_per_step * rollout.group_size
    tasks = curriculum.probe(int(completions / config.probe_samples)) if config.enabled else []
    saved = from_first(lambda: _read(context))
    curriculum.restore(saved["pass_rates"])
    if saved["done"] >= len(tasks):
        return curriculum.state()
    began = shared_clock()
    allowed = config.probe_share * context.planner.training_seconds() if context.planner else float("inf")
    batch = max(1, rollout.prompts_per_step * rollout.group_size // config.probe_samples)
    policy = context.rollout_policy
    context.display.stage("probe", total_steps=0)
    with context.timer.phase("probe"):
        for first in range(saved["done"], len(tasks), batch):
            groups = policy.sample(
                adapter,
                tasks[first : first + batch],
                group_size=config.probe_samples,
                max_new_tokens=rollout.max_new_tokens,
                sampling=Sampling.of(rollout),
                seed=derive_seed(context.recipe.seed, "probe", first),
            )
            curriculum.update(context.score(groups), 0)
            done = min(first + batch, len(tasks))
            ended = shared_clock() - began > allowed
            _write(context, curriculum, len(tasks) if ended else done)
            context.display.progress(done, len(tasks), "probe: tasks sampled")
            context.after_step()
            context.stop.check()
            if ended:
                context.display.note(f"deadline: the probe ends here, after {done} of {len(tasks)} tasks")
                break
    for name, own in curriculum.metrics().items():
        context.display.note(f"probe: {name}: {solved(own)}")
    return curriculum.state()


def solved(own: dict[str, Any]) -> str:
    """What the probe found in one domain (`Curriculum.metrics`), and what to do where there is little to learn from."""
    found = f"{own['pass_rate']:.0%} solved, {own['set_aside']} of {own['known']} tasks always or never"
    if own["set_aside"] < LITTLE * own["known"]:
        return found
    change = "a larger model or easier tasks" if own["pass_rate"] < 0.5 else "harder tasks"
    return f"{found}: GRPO has little to learn from; take {change}"


def _read(context: TrainContext) -> dict[str, Any]:
    path = context.run.path / FILE
    return context.run.read_json(FILE) if path.exists() else {"done": 0, "pass_rates": {}}


def _write(context: TrainContext, curriculum: Curriculum, done: int) -> None:
    if is_first():
        context.run.write_json(FILE, {"done": done, "pass_rates": curriculum.state()})
