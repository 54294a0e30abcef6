"""The charts of the report: each has a title, a text alternative, and a function that draws on given axes.

The palette is Okabe and Ito's, which is distinct for colour-blind readers; the order of bars and the printed values
carry the same information as the colours. Each colour is a custom property of the page (`COLORS`), so that charts
follow its dark mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from thinkaloud.domains import in_order
from thinkaloud.evaluate.summary import percent
from thinkaloud.report.run_data import Metrics, Run, lookup, number
from thinkaloud.report.samples import printable
from thinkaloud.report.tables import interval, label, plain_text
from thinkaloud.report.training import WINDOW_NOTE, samples_of, trained_domains, windows

INK, MUTED, GRID, PAPER = "#1d2733", "#5b6876", "#dde3ea", "#ffffff"
GRAY, ORANGE, BLUE = "#87919d", "#d55e00", "#0072b2"
COLORS = {"ink": INK, "muted": MUTED, "grid": GRID, "paper": PAPER, "gray": GRAY, "orange": ORANGE, "blue": BLUE}
"""Custom properties of the page by name, with the colours that they replace."""

STAGE_COLORS = {"base": GRAY, "cold_start": ORANGE, "trained": BLUE}
_OTHER_STAGES = (MUTED, INK)

_CURVES: tuple[tuple[str, str, str], ...] = (
    ("reward", "Sampled reward", "share"),
    ("format_rate", "Format rate, sampled", "rate"),
    ("accuracy", "Accuracy, sampled", "rate"),
    ("truncated_rate", "Truncated, sampled", "rate"),
    ("loss", "Loss", "number"),
    ("kl", "KL from the reference", "number"),
    ("entropy", "Entropy (nats per token)", "number"),
    ("grad_norm", "Gradient norm", "number"),
    ("learning_rate", "Learning rate", "number"),
    ("zero_std_fraction", "Groups without signal", "rate"),
)
_COLD_CURVES: tuple[tuple[str, str, str], ...] = (
    ("loss", "Cold start: loss", "number"),
    ("format_rate", "Cold start: format rate of probes", "rate"),
    ("learning_rate", "Cold start: learning rate", "number"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One chart.

    Attributes:
        text: The text alternative.
        draw: Draws on Matplotlib axes.
        size: Width and height in inches.
        note: How to read it, printed below the chart.
    """

    title: str
    text: str
    draw: Callable[[Any], None]
    size: tuple[float, float] = (4.2, 2.5)
    note: str = ""


def compliance(run: Run) -> Chart | None:
    """Format rate by domain and stage, with intervals."""
    stages = run.models
    groups = [*in_order({name for stage in stages.values() for name in stage["domains"]}), "overall"]

    def rates(stage: str, group: str) -> Any:
        return stages[stage]["overall"] if group == "overall" else stages[stage]["domains"].get(group)

    spoken = [
        f"{group}: "
        + ", ".join(f"{label(stage)} {percent(number(rates(stage, group), 'format_rate'))}" for stage in stages)
        for group in groups
    ]
    if all(number(rates(stage, group), "format_rate") is None for stage in stages for group in groups):
        return None

    counts = [int(number(rates(stage, group), "n") or 0) for stage in stages for group in groups[:-1]]
    span = " to ".join(str(n) for n in sorted({min(counts, default=0), max(counts, default=0)}))
    split = run.summary.get("split", "unknown")

    def draw(ax: Any) -> None:
        thick = 0.8 / len(stages)
        for position, stage in enumerate(stages):
            color = STAGE_COLORS.get(stage, _OTHER_STAGES[position % 2])
            ax.barh([0], [0], color=color, label=label(stage))
            for row, group in enumerate(groups):
                rate = number(rates(stage, group), "format_rate")
                if rate is None:
                    continue
                y = row + (position - (len(stages) - 1) / 2) * thick
                low, high = interval(rates(stage, group), "format_interval") or (rate, rate)
                ax.barh(y, rate, height=0.88 * thick, color=color, zorder=2)
                ax.plot([low, high], [y, y], color=PAPER, linewidth=3.2, solid_capstyle="butt", zorder=3)
                ax.plot([low, high], [y, y], color=INK, linewidth=1.1, solid_capstyle="butt", zorder=3)
                ax.text(max(high, rate) + 0.012, y, percent(rate), va="center", color=INK)
        ax.set_yticks(range(len(groups)), [group.replace("_", " ") for group in groups])
        ax.get_yticklabels()[-1].set_fontweight("bold")
        ax.set_ylim(len(groups) - 0.5, -0.5)
        ax.axhline(len(groups) - 1.5, color=MUTED, linewidth=0.8)
        ax.set_xlim(0, 1.14)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1.0], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        ax.tick_params(axis="y", length=0, labelsize=10)
        ax.grid(axis="x", color=GRID, linewidth=0.8)
        ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=len(stages), frameon=False, borderpad=0)

    return Chart(
        title="Format compliance, held-out tasks",
        text="Bar chart of the format rate by domain and stage, with 95 % intervals. " + "; ".join(spoken) + ".",
        draw=draw,
        note=f"Lines: 95 % intervals (Wilson); {split} split; tasks scored in each domain: {span}.",
        size=(4.4, 0.8 + 0.19 * len(groups) * max(2, len(stages))),
    )


def prompt_matching(run: Run) -> Chart | None:
    """Format rate of the trained model with its own prompt and with mismatched ones, with intervals."""
    entries = [entry for entry in run.contracts.get("variants", []) if number(entry, "format_rate") is not None]
    if not entries:
        return None
    names = [printable(str(lookup(entry, "description") or entry["name"]), 60) for entry in entries]
    rates = [number(entry, "format_rate") or 0.0 for entry in entries]

    def draw(ax: Any) -> None:
        for row, (entry, rate) in enumerate(zip(entries, rates, strict=True)):
            low, high = interval(entry, "format_interval") or (rate, rate)
            matched = entry["name"] == "matched"
            ax.barh(row, rate, height=0.42, color=BLUE if matched else ORANGE, zorder=2)
            ax.plot([low, high], [row, row], color=PAPER, linewidth=3.2, solid_capstyle="butt", zorder=3)
            ax.plot([low, high], [row, row], color=INK, linewidth=1.1, solid_capstyle="butt", zorder=3)
            text = ax.text(max(high, rate) + 0.015, row, percent(rate), va="center", color=INK, zorder=4)
            text.set_bbox({"facecolor": PAPER, "edgecolor": "none", "pad": 1.0})
            name = ax.text(0, row - 0.27, names[row], va="bottom", color=INK, zorder=4)
            name.set_bbox({"facecolor": PAPER, "edgecolor": "none", "pad": 0.5})
            name.set_fontweight("bold" if matched else "normal")
        ax.axvline(rates[0], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        ax.set_yticks([])
        ax.set_ylim(len(entries) - 0.7, -0.8)
        ax.set_xlim(0, 1.14)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1.0], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        ax.grid(axis="x", color=GRID, linewidth=0.8)

    spoken = "; ".join(f"{name}: {percent(rate)}" for name, rate in zip(names, rates, strict=True))
    return Chart(
        title="Prompt matching impact",
        text=f"Bar chart of the format rate with the prompt of training and with others. {spoken}.",
        draw=draw,
        note=f"Format rate of the same {number(run.contracts, 'n') or 0:.0f} tasks; lines: 95 % intervals (Wilson).",
        size=(4.4, 0.5 + 0.38 * len(entries)),
    )


def training_curves(run: Run) -> list[Chart]:
    """GRPO's metrics by step; the means of the first and the last steps are marked (`windows`)."""
    return [chart for curve in _CURVES if (chart := _curve(run.grpo, *curve, color=BLUE, marks=True)) is not None]


def cold_start_curves(run: Run) -> list[Chart]:
    """The cold start's loss, probes and learning rate by step."""
    return [chart for curve in _COLD_CURVES if (chart := _curve(run.cold_start, *curve, color=ORANGE)) is not None]


def domain_curves(run: Run) -> list[Chart]:
    """GRPO's sampled reward by step, one chart per domain."""
    found = [
        _curve(run.grpo, "reward", f"{name.replace('_', ' ')}: reward", "share", color=BLUE, marks=True, domain=name)
        for name in trained_domains(run)
    ]
    return [chart for chart in found if chart is not None]


def mixture(run: Run) -> Chart | None:
    """The number of completions that GRPO scored in each domain."""
    counts = {name: samples_of(run, name) for name in trained_domains(run)}
    total = sum(counts.values())
    if not total:
        return None

    def draw(ax: Any) -> None:
        ax.barh(range(len(counts)), list(counts.values()), height=0.66, color=BLUE, zorder=2)
        for row, count in enumerate(counts.values()):
            ax.text(
                count + 0.01 * max(counts.values()),
                row,
                f"{count:,} ({percent(count / total)})",
                va="center",
                color=INK,
            )
        ax.set_yticks(range(len(counts)), [name.replace("_", " ") for name in counts])
        ax.set_ylim(len(counts) - 0.5, -0.5)
        ax.set_xlim(0, 1.32 * max(counts.values()))
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x", color=GRID, linewidth=0.8)

    spoken = ", ".join(f"{name} {count}" for name, count in counts.items())
    return Chart(
        title="Mixture: GRPO completions by domain",
        text=f"Bar chart of {total} completions by domain: {spoken}.",
        draw=draw,
        size=(4.4, 0.5 + 0.3 * len(counts)),
    )


def _curve(
    rows: tuple[Metrics, ...], key: str, title: str, kind: str, *, color: str, marks: bool = False, domain: str = ""
) -> Chart | None:
    """One metric by step. The axis of `share` and `rate` is 0 to 1; `rate` is shown in per cent."""
    path = ("domains", domain, key) if domain else (key,)
    points = [
        (step, value)
        for row in rows
        if (value := number(row, *path)) is not None and (step := number(row, "step")) is not None
    ]
    if not points:
        return None
    show = percent if kind == "rate" else plain_text
    change = windows(rows, lambda row: number(row, *path)) if marks else None

    def draw(ax: Any) -> None:
        xs, ys = [x for x, _ in points], [y for _, y in points]
        many = len(points) > 60
        ax.plot(
            xs, ys, color=color, linewidth=0.9 if many else 1.5, marker=None if many else "o", markersize=2.8, zorder=3
        )
        if kind in ("rate", "share"):
            ax.set_ylim(-0.04, 1.12)
            ax.set_yticks([0, 0.5, 1.0], ["0 %", "50 %", "100 %"] if kind == "rate" else ["0", "0.5", "1"])
        else:
            ax.margins(y=0.22)
            ax.locator_params(axis="y", nbins=4)
            ax.yaxis.set_major_formatter(lambda value, _: f"{value:.4g}")
        if change is not None and kind in ("rate", "share"):
            first, last, k = change
            for mean, span in ((first, xs[:k]), (last, xs[-k:])):
                ax.plot([span[0], span[-1]], [mean, mean], color=INK, linewidth=2.4, solid_capstyle="butt", zorder=4)
                side = "left" if span[0] == xs[0] else "right"
                ax.text(
                    span[0] if side == "left" else span[-1],
                    max(max(value for x, value in points if span[0] <= x <= span[-1]), mean) + 0.05,
                    show(mean),
                    ha=side,
                    va="bottom",
                    color=INK,
                    fontsize=9,
                    fontweight="bold",
                    zorder=5,
                )
        begin, end = number(rows[0], "step") or 0.0, number(rows[-1], "step") or 0.0
        margin = 0.5 + 0.03 * (end - begin)
        ax.set_xlim(begin - margin, end + margin)
        ax.locator_params(axis="x", nbins=6, integer=True, min_n_ticks=1)
        ax.grid(axis="y", color=GRID, linewidth=0.8)
        ax.set_xlabel("step", loc="right", labelpad=1)

    values = [value for _, value in points]
    spoken = f"{title}, {len(points)} values, from {show(values[0])} to {show(values[-1])}"
    spoken += f", lowest {show(min(values))}, highest {show(max(values))}."
    if change is not None:
        spoken += f" Mean of the first {change[2]}: {show(change[0])}; of the last {change[2]}: {show(change[1])}."
    note = WINDOW_NOTE if change and kind in ("rate", "share") else ""
    return Chart(title=title, text=f"Line chart. {spoken}", draw=draw, note=note)
