"""What was run and where: the recipe's main settings, the machine, wall time by phase."""

from __future__ import annotations

from dataclasses import dataclass

from thinkaloud.display import duration
from thinkaloud.prompt.diff import visible
from thinkaloud.report.rundir import Run, lookup, number
from thinkaloud.report.samples import printable
from thinkaloud.report.tables import Table, seconds_text


def settings(run: Run) -> Table | None:
    """The settings that say most about a run."""
    wanted = (
        ("model", "model", "source"),
        ("seed", "seed"),
        ("data", "data", "source"),
        ("mixture exponent", "mixture", "exponent"),
        ("LoRA rank", "lora", "rank"),
        ("LoRA alpha", "lora", "alpha"),
        ("cold start, at most steps", "cold_start", "max_steps"),
        ("cold start, learning rate", "cold_start", "learning_rate"),
        ("GRPO, steps asked for", "grpo", "max_steps"),
        ("prompts per step", "rollout", "prompts_per_step"),
        ("completions per prompt", "rollout", "group_size"),
        ("temperature", "rollout", "temperature"),
        ("new tokens, at most", "rollout", "max_new_tokens"),
        ("GRPO learning rate", "grpo", "learning_rate"),
        ("beta (KL)", "grpo", "beta"),
        ("epsilon (clip)", "grpo", "epsilon"),
        ("inner iterations", "grpo", "inner_iterations"),
    )
    rows = tuple((name, str(value)) for name, *keys in wanted if (value := lookup(run.resolved, *keys)) is not None)
    return Table(caption="Recipe", header=("setting", "value"), rows=rows) if rows else None


def data(run: Run) -> tuple[str, ...]:
    """Where the tasks came from, as the recipe says it."""
    source = lookup(run.resolved, "data", "source")
    if source is None:
        return ("The files do not say which data was used.",)
    domains, generated = lookup(run.resolved, "data", "domains"), lookup(run.resolved, "data", "generated")
    sentences = [f"Tasks from: {source}."]
    if isinstance(domains, list) and domains:
        sentences.append(f"Domains: {', '.join(str(name).replace('_', ' ') for name in domains)}.")
    if isinstance(generated, dict) and generated:
        sentences.append(f"Generated besides: {', '.join(f'{count} {name}' for name, count in generated.items())}.")
    exponent = number(run.resolved, "mixture", "exponent")
    if exponent is not None:
        sentences.append(f"A domain is drawn with a probability proportional to its count to the power {exponent:g}.")
    return tuple(sentences)


def machine(run: Run) -> Table | None:
    """Where it ran, and with what."""
    wanted = (
        "machine",
        "cpu",
        "cores",
        "memory_gb",
        "devices",
        "python",
        "jax",
        "thinkaloud",
        "sandbox_level",
        "peak_memory_gb",
    )
    rows = []
    for key in wanted:
        value = run.environment.get(key)
        if value is not None:
            text = (
                ", ".join(map(str, value))
                if isinstance(value, list)
                else f"{value:g}"
                if isinstance(value, float)
                else str(value)
            )
            name, unit = (key[:-3], " GB") if key.endswith("_gb") else (key, "")
            rows.append((name.replace("_", " "), text + unit))
    return Table(caption="Machine", header=("what", "value"), rows=tuple(rows)) if rows else None


def times(run: Run) -> Table | None:
    """Wall time by phase, and GRPO's time by part."""
    rows = [
        (str(phase).replace("_", " "), seconds_text(run.environment, "seconds", phase))
        for phase in lookup(run.environment, "seconds") or {}
    ]
    for stage, metrics in (("cold start", run.cold_start), ("GRPO", run.grpo)):
        parts = dict.fromkeys(part for row in metrics for part in (lookup(row, "seconds") or {}))
        rows += [
            (f"{stage} steps: {part}", duration(sum(number(row, "seconds", part) or 0.0 for row in metrics)))
            for part in parts
        ]
    sampled = sum(number(row, "tokens", "completion") or 0.0 for row in run.grpo)
    spent = sum(number(row, "seconds", "total") or 0.0 for row in run.grpo)
    if sampled and spent:
        rows.append(("GRPO: tokens sampled per second, whole step", f"{sampled / spent:,.0f}"))
    return Table(caption="Wall time", header=("phase", "time"), rows=tuple(rows)) if rows else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What contract.json says: the fingerprint, and one probe prompt with its white space shown."""

    name: str
    fingerprint: str
    outside_text: str
    visible: str
    num_tokens: int | None


def prompt(run: Run) -> Prompt | None:
    """The prompt contract of the run; None where the file is absent or of another shape."""
    fingerprint, probes = run.contract.get("fingerprint"), run.contract.get("probes")
    if not isinstance(fingerprint, str):
        return None
    probe = probes[0] if isinstance(probes, list) and probes else None
    text, ids = lookup(probe, "prompt"), lookup(probe, "ids")
    return Prompt(
        name=printable(str(lookup(run.contract, "contract", "name") or "unnamed"), 80),
        fingerprint=printable(fingerprint, 80),
        outside_text=printable(str(lookup(run.contract, "contract", "outside_text") or "unknown"), 80),
        visible=visible(text[:4_000]) if isinstance(text, str) else "",
        num_tokens=len(ids) if isinstance(ids, list) else None,
    )
