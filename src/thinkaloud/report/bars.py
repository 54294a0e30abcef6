"""The bar charts of the report: accuracy and format rate by domain, prompts, and the mixture."""

from __future__ import annotations

from typing import Any

from thinkaloud.domains import in_order
from thinkaloud.evaluate.summary import percent
from thinkaloud.report.charts import BLUE, GRAY, GRID, INK, MUTED, ORANGE, PAPER, Chart
from thinkaloud.report.run_data import Run, lookup, number
from thinkaloud.report.tables import interval, label
from thinkaloud.report.training import samples_of, trained_domains
from thinkaloud.storage.unicode import printable

STAGE_COLORS = {"base": GRAY, "cold_start": ORANGE, "trained": BLUE}
_OTHER_STAGES = (MUTED, INK)
_LEGEND: dict[str, Any] = {"frameon": False, "borderpad": 0, "columnspacing": 1.2, "handlelength": 1.4}


def accuracy(run: Run) -> Chart | None:
    """The headline by domain: the base at its best, by answer accuracy, and the trained model, by strict accuracy."""
    found = lookup(run.summary, "headline")
    domains = lookup(found, "domains")
    if number(found, "trained") is None or not isinstance(domains, dict):
        return None
    groups = [*in_order(set(domains)), "overall"]
    last = list(run.models.values())[-1]
    names = [label(str(lookup(found, key))) for key in ("before", "after")]

    def rates(group: str) -> Any:
        return found if group == "overall" else domains[group]

    def guess(group: str, key: str) -> float | None:
        return number(last["overall"] if group == "overall" else last["domains"].get(group), key)

    def draw(ax: Any) -> None:
        thick = 0.4
        for position, (key, color) in enumerate((("base", GRAY), ("trained", BLUE))):
            ax.barh([0], [0], color=color, label=names[position])
            for row, group in enumerate(groups):
                rate = number(rates(group), key)
                if rate is not None:
                    y = row + (position - 0.5) * thick
                    _bar(ax, y, rate, interval(rates(group), f"{key}_interval"), 0.88 * thick, color)
        for key, style, name in (("chance", "-", "chance"), ("majority_baseline", ":", "most frequent gold")):
            marks = [(row, mark) for row, group in enumerate(groups) if (mark := guess(group, key)) is not None]
            for place, (row, mark) in enumerate(marks):
                ends = [row - 0.44, row + 0.44]
                line = {"color": ORANGE, "linewidth": 1.8, "linestyle": style, "zorder": 5}
                ax.plot([mark, mark], ends, **line, label=None if place else name)
        _rate_axes(ax, groups)
        keys, shown = ax.get_legend_handles_labels()
        order = sorted(range(len(shown)), key=lambda at: shown[at] not in names)  # the bars first
        ax.legend(
            [keys[at] for at in order],
            [shown[at] for at in order],
            loc="lower left",
            bbox_to_anchor=(-0.01, 1.0),
            ncols=2,
            **_LEGEND,
        )

    spoken = "; ".join(
        f"{group}: {percent(number(rates(group), 'base'))} to {percent(number(rates(group), 'trained'))}"
        + (f", chance {percent(chance)}" if (chance := guess(group, "chance")) is not None else "")
        for group in groups
    )
    return Chart(
        title="Tasks solved, held-out",
        text=(
            f"Bar chart of accuracy: {names[0]} (format not required) and {names[1]} (format required), with 95 % "
            f"intervals. {spoken}."
        ),
        draw=draw,
        note=f"{names[0]}: format not required; {names[1]}: format required. Thin lines: 95 % intervals (Wilson).",
        size=(4.8, 1.0 + 0.42 * len(groups)),
    )


def _bar(ax: Any, y: float | int, rate: float, bounds: tuple[float, float] | None, height: float, color: str) -> None:
    """A bar with its value at its end, and its interval as a line below it; `height` is that of both."""
    middle = y - 0.1 * height
    ax.barh(middle, rate, height=0.76 * height, color=color, zorder=2)
    if bounds:
        below = y + 0.4 * height
        ax.plot(bounds, [below, below], color=INK, linewidth=1.1, solid_capstyle="butt", zorder=7)
    text = ax.text(rate + 0.012, middle, percent(rate), va="center_baseline", color=INK, zorder=6)
    text.set_bbox({"facecolor": PAPER, "edgecolor": "none", "pad": 0.3})


def _rate_axes(ax: Any, groups: list[str]) -> None:
    """Axes of rates by domain, the last group set off."""
    ax.set_yticks(range(len(groups)), [group.replace("_", " ") for group in groups])
    ax.get_yticklabels()[-1].set_fontweight("bold")
    ax.set_ylim(len(groups) - 0.5, -0.5)
    ax.axhline(len(groups) - 1.5, color=MUTED, linewidth=0.8)
    ax.tick_params(axis="y", length=0, labelsize=10)
    _percent_axis(ax)


def _percent_axis(ax: Any) -> None:
    ax.set_xlim(0, 1.14)
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1.0], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    ax.grid(axis="x", color=GRID, linewidth=0.8)


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
                _bar(ax, y, rate, interval(rates(stage, group), "format_interval"), 0.88 * thick, color)
        _rate_axes(ax, groups)
        ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=len(stages), **_LEGEND)

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
            matched = entry["name"] == "matched"
            _bar(ax, row, rate, interval(entry, "format_interval"), 0.42, BLUE if matched else ORANGE)
            name = ax.text(0, row - 0.27, names[row], va="bottom", color=INK, zorder=4)
            name.set_bbox({"facecolor": PAPER, "edgecolor": "none", "pad": 0.5})
            name.set_fontweight("bold" if matched else "normal")
        ax.axvline(rates[0], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        ax.set_yticks([])
        ax.set_ylim(len(entries) - 0.7, -0.8)
        _percent_axis(ax)

    spoken = "; ".join(f"{name}: {percent(rate)}" for name, rate in zip(names, rates, strict=True))
    return Chart(
        title="Prompt matching impact",
        text=f"Bar chart of the format rate with the prompt of training and with others. {spoken}.",
        draw=draw,
        note=f"Format rate of the same {number(run.contracts, 'n') or 0:.0f} tasks; lines: 95 % intervals (Wilson).",
        size=(4.4, 0.5 + 0.38 * len(entries)),
    )


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
