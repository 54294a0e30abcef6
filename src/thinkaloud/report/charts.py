"""What a chart of the report is (a title, a text alternative, a function that draws on given axes), and the curves.

The palette is Okabe and Ito's, which is distinct for colour-blind readers; the order of bars and the printed values
carry the same information as the colours. Each colour is a custom property of the page (`COLORS`), so that charts
follow its dark mode.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from thinkaloud.evaluate.summary import percent
from thinkaloud.report.run_data import Metrics, Run, lookup, number
from thinkaloud.report.tables import plain_text
from thinkaloud.report.training import WINDOW_NOTE, Read, metric, new_task_accuracy, trained_domains, windows

INK, MUTED, GRID, PAPER = "#1d2733", "#5b6876", "#dde3ea", "#ffffff"
GRAY, ORANGE, BLUE = "#87919d", "#d55e00", "#0072b2"
COLORS = {"ink": INK, "muted": MUTED, "grid": GRID, "paper": PAPER, "gray": GRAY, "orange": ORANGE, "blue": BLUE}
"""Custom properties of the page by name, with the colours that they replace."""

_CURVES: tuple[tuple[Read, str, str], ...] = (
    (metric("reward"), "Sampled reward", "share"),
    (metric("accuracy"), "Accuracy, sampled", "rate"),
    (new_task_accuracy, "Accuracy on tasks never sampled before", "rate"),
    (lambda row: completion_tokens(row), "Tokens per completion", "number"),
    (lambda row: signal_share(row), "Trained groups with signal", "rate"),
    (metric("format_rate"), "Format rate, sampled", "rate"),
    (metric("truncated_rate"), "Truncated, sampled", "rate"),
    (metric("entropy"), "Entropy (nats per token)", "number"),
    (metric("kl"), "KL from the reference", "number"),
    (metric("grad_norm"), "Gradient norm", "number"),
    (metric("learning_rate"), "Learning rate", "number"),
)
_COLD_CURVES: tuple[tuple[Read, str, str], ...] = (
    (metric("loss"), "Cold start: loss", "number"),
    (metric("format_rate"), "Cold start: format rate of probes", "rate"),
    (metric("learning_rate"), "Cold start: learning rate", "number"),
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


def training_curves(run: Run) -> list[Chart]:
    """GRPO's metrics by step; the means of the first and the last steps are marked (`windows`)."""
    return [chart for curve in _CURVES if (chart := _curve(run.grpo, *curve, color=BLUE, marks=True)) is not None]


def cold_start_curves(run: Run) -> list[Chart]:
    """The cold start's loss, probes and learning rate by step."""
    return [chart for curve in _COLD_CURVES if (chart := _curve(run.cold_start, *curve, color=ORANGE)) is not None]


def domain_curves(run: Run) -> list[Chart]:
    """GRPO's sampled reward by step, one chart per domain."""
    found = [
        _curve(
            run.grpo,
            metric("domains", name, "reward"),
            f"{name.replace('_', ' ')}: reward",
            "share",
            color=BLUE,
            marks=True,
        )
        for name in trained_domains(run)
    ]
    return [chart for chart in found if chart is not None]


def completion_tokens(row: Metrics) -> float | None:
    """The mean number of tokens of a step's completions; None if the row lacks their number."""
    domains = lookup(row, "domains")
    count = sum(number(own, "n") or 0 for own in domains.values()) if isinstance(domains, dict) else 0
    tokens = number(row, "tokens", "completion")
    return tokens / count if tokens is not None and count else None


def signal_share(row: Metrics) -> float | None:
    """The share of trained groups with signal; of sampled groups in runs that do not record it."""
    share, without = number(row, "signal_share"), number(row, "zero_std_fraction")
    return share if share is not None or without is None else 1.0 - without


def _curve(
    rows: tuple[Metrics, ...], read: Read, title: str, kind: str, *, color: str, marks: bool = False
) -> Chart | None:
    """One metric by step. The axis of `share` and `rate` is 0 to 1; `rate` is shown in per cent."""
    points = [
        (step, value) for row in rows if (value := read(row)) is not None and (step := number(row, "step")) is not None
    ]
    if not points:
        return None
    show = percent if kind == "rate" else plain_text
    change = windows(rows, read) if marks else None

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
