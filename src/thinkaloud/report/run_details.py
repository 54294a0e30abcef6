"""What was run and where: the recipe's main settings, the machine, wall time by phase."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from thinkaloud.durations import duration
from thinkaloud.evaluate.summary import percent
from thinkaloud.prompt.diff import visible
from thinkaloud.report.run_data import Run, lookup, number
from thinkaloud.report.samples import printable
from thinkaloud.report.tables import Table, seconds_text

_MAX_EVENTS = 200


def settings(run: Run) -> Table | None:
    """The settings that say most about a run."""
    wanted = (
        ("model", "model", "source"),
        ("seed", "seed"),
        ("engine", "engine"),
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
    sources = lookup(run.resolved, "data", "sources")
    if not isinstance(sources, dict) or not sources:
        return ("The files do not say which data was used.",)
    domains, generated = lookup(run.resolved, "data", "domains"), lookup(run.resolved, "data", "generated")
    sentences = [f"Tasks from: {printable(', '.join(map(str, sources)), 400)}."]
    if isinstance(domains, list) and domains:
        sentences.append(f"Domains: {', '.join(str(name).replace('_', ' ') for name in domains)}.")
    if isinstance(generated, dict) and generated:
        sentences.append(f"Generated besides: {', '.join(f'{count} {name}' for name, count in generated.items())}.")
    exponent = number(run.resolved, "mixture", "exponent")
    if exponent is not None:
        sentences.append(f"A domain is drawn with a probability proportional to its count to the power {exponent:g}.")
    return tuple(sentences)


def pool(run: Run) -> Table | None:
    """Tasks by domain and split, and the share of training tasks that the mixture draws from each."""
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
    return Table(caption="Tasks, and the mixture asked for", header=header, rows=tuple(rows))


def health(run: Run) -> Table | None:
    """What the run noticed about itself: the last events of health.jsonl, and what was advised or done."""
    rows = []
    for event in run.health[-_MAX_EVENTS:]:
        said = [_first(event, *keys) for keys in (("state", "level"), ("check",), ("stage",), ("step",))]
        texts = [_first(event, *keys) for keys in (("message", "text", "event"), ("remedy", "mend", "action"))]
        rows.append((*(printable(text, 40) for text in said), *(printable(text, 500) for text in texts)))
    more = f", the last {_MAX_EVENTS} of {len(run.health)}" if len(run.health) > _MAX_EVENTS else ""
    header = ("state", "check", "stage", "step", "message", "remedy")
    return Table(caption=f"Health events{more}", header=header, rows=tuple(rows)) if rows else None


def sandbox(run: Run) -> str:
    """The sandbox that model-written code ran in, in a sentence."""
    level = lookup(run.environment, "sandbox_level")
    return f"Sandbox level of model-written code: {printable(str(level or 'unknown'), 60)}."


def _first(event: object, *keys: str) -> str:
    """The first of the keys that is there, as text."""
    value = next((found for key in keys if (found := lookup(event, key)) is not None), None)
    return "-" if value is None else str(value)


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
        rows.append(("GRPO: the device waits for scoring, mean share of a step", percent(fmean(idle))))
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
