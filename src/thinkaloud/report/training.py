"""The results of training: the cold start's probes, the first and the last steps of GRPO, and every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from thinkaloud.domains import in_order
from thinkaloud.evaluate.summary import percent
from thinkaloud.report.run_data import Metrics, Run, lookup, number
from thinkaloud.report.tables import Table, change_text, plain_text

WINDOW = 5
"""Number of steps at the start and at the end of GRPO whose means are compared."""
WINDOW_NOTE = (
    f"Short black lines: means of the first and of the last {WINDOW} values (of half the values if there are fewer "
    f"than {2 * WINDOW})."
)
"""The note of charts with these means."""

Read = Callable[[Metrics], float | None]


def metric(*keys: str) -> Read:
    """Reads the number under nested `keys` of a row (`number`)."""
    return lambda row: number(row, *keys)


def new_task_accuracy(row: Metrics) -> float | None:
    """Accuracy of a step's completions of tasks that were never sampled before; None without any."""
    by_domain = lookup(row, "curriculum")
    counts = [
        (first, accuracy * first)
        for own in (by_domain.values() if isinstance(by_domain, dict) else ())
        if (first := number(own, "first")) and (accuracy := number(own, "first_accuracy")) is not None
    ]
    total = sum(first for first, _ in counts)
    return sum(solved for _, solved in counts) / total if total else None


_MEASURES: tuple[tuple[Read, str, str], ...] = (
    (metric("reward"), "sampled reward", "number"),
    (metric("format_rate"), "format rate", "rate"),
    (metric("accuracy"), "accuracy, verifiable domains", "rate"),
    (new_task_accuracy, "accuracy on tasks never sampled before", "rate"),
    (metric("truncated_rate"), "truncated", "rate"),
    (metric("zero_std_fraction"), "sampled groups without signal", "rate"),
    (metric("signal_share"), "trained groups with signal", "rate"),
    (metric("reward_std"), "standard deviation of the reward", "number"),
    (metric("entropy"), "entropy (nats per token)", "number"),
    (metric("kl"), "KL from the reference", "number"),
    (metric("clip_fraction"), "clipped tokens", "rate"),
    (metric("grad_norm"), "gradient norm", "number"),
)


def windows(rows: Sequence[Metrics], read: Read) -> tuple[float, float, int] | None:
    """Means over the first and the last steps.

    Args:
        rows: Metrics by step.
        read: Returns the value of a row; rows without a value do not count.

    Returns:
        The mean of the first k values, of the last k, and k: five, or half of the values if there are fewer than ten,
        so that no step counts twice. None for fewer than two values.
    """
    values = [value for row in rows if (value := read(row)) is not None]
    k = min(WINDOW, len(values) // 2)
    return (fmean(values[:k]), fmean(values[-k:]), k) if k else None


def cold_start(run: Run) -> tuple[tuple[str, ...], Table | None]:
    """The cold start in sentences, and its probes as a table."""
    if not run.cold_start:
        return (("There was no cold start: the recipe has none, or the run ended before it.",), None)
    losses = [loss for row in run.cold_start if (loss := number(row, "loss")) is not None]
    probes = [
        (number(row, "step"), rate, number(row, "entropy"))
        for row in run.cold_start
        if (rate := number(row, "format_rate")) is not None
    ]
    texts = {"self": "the base's own right answers", "teacher": "a teacher's right answers"}.get(
        str(lookup(run.resolved, "cold_start", "source")), "the pool's rationales"
    )
    steps = f"{len(run.cold_start)} supervised steps on {texts} in the contract's format"
    sentences = [
        f"{steps}; loss {losses[0]:.3f} at the first and {losses[-1]:.3f} at the last." if losses else f"{steps}."
    ]
    limit = number(run.resolved, "cold_start", "max_steps")
    target = number(run.resolved, "cold_start", "stop_at_format_rate")
    if target is not None and limit is not None:
        sentences.append(
            f"The recipe allows {limit:.0f} steps, and stops when {percent(target)} of the completions of a sampled "
            "probe have a valid format. A longer cold start would leave GRPO more groups without signal."
        )
    if not probes:
        return (tuple(sentences), None)
    sentences.append(f"The last probe, after step {probes[-1][0]:.0f}, measured {percent(probes[-1][1])}.")
    rows = tuple((f"{step:.0f}", percent(rate), plain_text(entropy)) for step, rate, entropy in probes)
    return (
        tuple(sentences),
        Table(
            caption="Cold-start probes (sampled)",
            header=("after step", "format rate", "entropy (nats per token)"),
            rows=rows,
        ),
    )


def first_and_last_steps(run: Run) -> Table | None:
    """Means of GRPO's metrics over the first and the last steps."""
    rows, k = [], 0
    for read, name, kind in _MEASURES:
        change = windows(run.grpo, read)
        if change is not None:
            k = max(k, change[2])
            rows.append((name, *change_text(change[0], change[1], kind)))
    if not rows:
        return None
    header = ("mean over steps", f"first {k}", f"last {k}", "change")
    return Table(caption=f"GRPO: the first {k} and the last {k} steps", header=header, rows=tuple(rows))


def first_and_last_by_domain(run: Run) -> Table | None:
    """Means of reward, format rate and accuracy by domain over the first and the last steps of GRPO."""
    rows, counts = [], set()
    for name in trained_domains(run):
        cells: list[str] = []
        for key, kind in (("reward", "number"), ("format_rate", "rate"), ("accuracy", "rate")):
            change = windows(run.grpo, metric("domains", name, key))
            cells.append(" to ".join(change_text(change[0], change[1], kind)[:2]) if change else "-")
            counts |= {change[2]} if change else set()
        rows.append((name, str(samples_of(run, name)), *cells))
    if not rows:
        return None
    k = " to ".join(str(count) for count in sorted({min(counts), max(counts)})) if counts else WINDOW
    return Table(
        caption=f"GRPO by domain: means of the first {k} and of the last {k} steps that drew the domain",
        header=("domain", "completions", "reward", "format rate", "accuracy"),
        rows=tuple(rows),
    )


def trained_domains(run: Run) -> list[str]:
    """The domains in GRPO's metrics, in the usual order."""
    return in_order({str(name) for row in run.grpo for name in (lookup(row, "domains") or {})})


def samples_of(run: Run, domain: str) -> int:
    """The number of completions of a domain that GRPO scored."""
    return int(sum(number(row, "domains", domain, "n") or 0 for row in run.grpo))


def steps(run: Run) -> Table | None:
    """Every GRPO step; also the text alternative of the charts."""
    keys = (
        "reward",
        "format_rate",
        "accuracy",
        "truncated_rate",
        "zero_std_fraction",
        "signal_share",
        "loss",
        "kl",
        "entropy",
        "grad_norm",
    )
    rows = [
        (
            f"{number(row, 'step') or 0:.0f}",
            *(plain_text(number(row, key)) for key in (*keys, "learning_rate")),
            plain_text(number(row, "seconds", "total")),
        )
        for row in run.grpo
    ]
    header = ("step", *(key.replace("_", " ") for key in keys), "learning rate", "seconds")
    return Table(caption="Every GRPO step", header=header, rows=tuple(rows)) if rows else None
