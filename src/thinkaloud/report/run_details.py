"""Details of a run: main settings, data, health, prompt, machine, wall time."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from thinkaloud.durations import duration
from thinkaloud.evaluate.summary import percent
from thinkaloud.prompt.diff import visible
from thinkaloud.report.run_data import Run, lookup, number
from thinkaloud.report.tables import Table, seconds_text
from thinkaloud.storage.unicode import printable

_MAX_EVENTS = 200


def settings(run: Run) -> Table | None:
    """The main settings of a run."""
    names = (
        ("model", "model", "source"),
        ("seed", "seed"),
        ("seed of the tasks", "data", "seed"),
        ("engine", "engine"),
        ("control", "rewards", "control"),
        ("mixture exponent", "mixture", "exponent"),
        ("LoRA rank", "lora", "rank"),
        ("LoRA alpha", "lora", "alpha"),
        ("cold start, maximum steps", "cold_start", "max_steps"),
        ("cold start, learning rate", "cold_start", "learning_rate"),
        ("GRPO, maximum steps", "grpo", "max_steps"),
        ("prompts per step", "rollout", "prompts_per_step"),
        ("completions per prompt", "rollout", "group_size"),
        ("temperature", "rollout", "temperature"),
        ("maximum new tokens", "rollout", "max_new_tokens"),
        ("GRPO learning rate", "grpo", "learning_rate"),
        ("beta (KL)", "grpo", "beta"),
        ("epsilon (clip)", "grpo", "epsilon"),
        ("inner iterations", "grpo", "inner_iterations"),
    )
    rows = tuple((name, str(value)) for name, *keys in names if (value := lookup(run.resolved, *keys)) is not None)
    return Table(caption="Recipe", header=("setting", "value"), rows=rows) if rows else None


def data(run: Run) -> tuple[str, ...]:
    """The sources of the tasks by the recipe, in sentences."""
    sources = lookup(run.resolved, "data", "sources")
    if not isinstance(sources, dict) or not sources:
        return ("The sources of the tasks are unknown.",)
    domains, generated = lookup(run.resolved, "data", "domains"), lookup(run.resolved, "data", "generated")
    sentences = [f"Tasks from: {printable(', '.join(map(str, sources)), 400)}."]
    if isinstance(domains, list) and domains:
        sentences.append(f"Domains: {', '.join(str(name).replace('_', ' ') for name in domains)}.")
    if isinstance(generated, dict) and generated:
        sentences.append(
            f"Generated for training: {', '.join(f'{count} {name}' for name, count in generated.items())}."
        )
    exponent = number(run.resolved, "mixture", "exponent")
    if exponent is not None:
        sentences.append(
            f"The probability of a domain is proportional to its number of tasks to the power of {exponent:g}."
        )
    return tuple(sentences)


def pool(run: Run) -> Table | None:
    """Tasks by domain and split, and each domain's share of the draws."""
    counts = lookup(run.pool, "counts")
    if not isinstance(counts, dict) or not counts:
        return None
    exponent = number(run.resolved, "mixture", "exponent")
    weights = {name: (number(found, "train") or 0.0) ** (exponent or 0.0) for name, found in counts.items()}
    total = sum(weights.values())
    rows = [
        (
            printable(str(name), 60),
            *(f"{number(found, split) or 0:,.0f}" for split in ("train", "validation", "test")),
            percent(weights[name] / total) if exponent is not None and total else "-",
        )
        for name, found in counts.items()
    ]
    header = ("domain", "train", "validation", "test", "share of prompts")
    return Table(caption="Tasks, and the mixture of the recipe", header=header, rows=tuple(rows))


def health(run: Run) -> Table | None:
    """The last events of health.jsonl with their remedies."""
    rows = []
    for event in run.health[-_MAX_EVENTS:]:
        short = [_text(event, key) for key in ("state", "check", "stage", "step")]
        long = [_text(event, key) for key in ("message", "remedy")]
        rows.append((*(printable(text, 40) for text in short), *(printable(text, 500) for text in long)))
    more = f", the last {_MAX_EVENTS} of {len(run.health)}" if len(run.health) > _MAX_EVENTS else ""
    header = ("state", "check", "stage", "step", "message", "remedy")
    return Table(caption=f"Health events{more}", header=header, rows=tuple(rows)) if rows else None


def sandbox(run: Run) -> str:
    """The level of the sandbox for model-written code, in a sentence."""
    level = lookup(run.environment, "sandbox_level")
    return f"Sandbox level of model-written code: {printable(str(level or 'unknown'), 60)}."


def _text(event: object, key: str) -> str:
    value = lookup(event, key)
    return "-" if value is None else str(value)


def machine(run: Run) -> Table | None:
    """The machine and the software."""
    keys = (
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
    for key in keys:
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
    return Table(caption="Machine", header=("property", "value"), rows=tuple(rows)) if rows else None


def times(run: Run) -> Table | None:
    """Wall time by phase, and of the steps by part."""
    rows = [
        (str(phase).replace("_", " "), seconds_text(run.environment, "seconds", phase))
        for phase in lookup(run.environment, "seconds") or {}
    ]
    for stage, metrics in (("cold start", run.cold_start), ("GRPO", run.grpo)):
        parts = dict.fromkeys(
            part for row in metrics for part in (lookup(row, "seconds") or {}) if part != "idle_share"
        )
        rows += [
            (f"{stage} steps: {part}", duration(sum(number(row, "seconds", part) or 0.0 for row in metrics)))
            for part in parts
        ]
    seconds = [number(run.environment, "seconds", phase) or 0.0 for phase in lookup(run.environment, "seconds") or {}]
    devices = lookup(run.environment, "devices")
    if seconds:
        rows.append(("all phases", duration(sum(seconds))))
        if isinstance(devices, list) and devices:
            rows.append(("cost in device-hours", f"{sum(seconds) * len(devices) / 3600:.2f}"))
    sampled = sum(number(row, "tokens", "completion") or 0.0 for row in run.grpo)
    spent = sum(number(row, "seconds", "total") or 0.0 for row in run.grpo)
    idle = [share for row in run.grpo if (share := number(row, "seconds", "idle_share")) is not None]
    if idle:
        rows.append(("GRPO: mean share of a step that the device waits for scoring", percent(fmean(idle))))
    if sampled and spent:
        rows.append(("GRPO: tokens sampled per second, whole step", f"{sampled / spent:,.0f}"))
    return Table(caption="Wall time", header=("phase", "time"), rows=tuple(rows)) if rows else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The fingerprint of contract.json, and one probe prompt with visible white space."""

    name: str
    fingerprint: str
    outside_text: str
    visible: str
    num_tokens: int | None


def prompt(run: Run) -> Prompt | None:
    """The prompt contract of the run; None if the file is missing or invalid."""
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
