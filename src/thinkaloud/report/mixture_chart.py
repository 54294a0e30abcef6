"""The chart of a mixture before a run: each domain's share of the tasks and of the draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thinkaloud.report.charts import BLUE, GRAY, GRID, INK, Chart
from thinkaloud.report.figures import save_chart


def save_mixture_chart(rows: Sequence[Mapping[str, Any]], exponent: float, path: Path) -> Path:
    """Draw natural and sampled shares.

    Args:
        rows: Rows of `data.mixture.mixture_table`, as dicts.
        exponent: The exponent of the mixture, for the title.
        path: A .png or .svg file.

    Returns:
        `path`.
    """
    kinds = (("natural_share", "share of the tasks", GRAY), ("sampled_share", "share of the draws", BLUE))
    longest = max(row[key] for row in rows for key, _, _ in kinds)

    def draw(ax: Any) -> None:
        for place, (key, label, color) in enumerate(kinds):
            heights = [index + 0.36 * (place - 0.5) for index in range(len(rows))]
            ax.barh(heights, [row[key] for row in rows], height=0.34, color=color, label=label, zorder=2)
            for height, row in zip(heights, rows, strict=True):
                ax.text(row[key] + 0.01 * longest, height, f"{row[key]:.1%}", va="center", fontsize=8, color=INK)
        ax.set_yticks(range(len(rows)), [f"{row['domain'].replace('_', ' ')} ({row['tasks']:,})" for row in rows])
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_xlim(0, 1.15 * longest)
        ax.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x", color=GRID, linewidth=0.8)
        ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=2, frameon=False, borderpad=0)

    spoken = "; ".join(f"{row['domain']} {row['natural_share']:.1%} and {row['sampled_share']:.1%}" for row in rows)
    chart = Chart(
        title=f"Sampling: count to the power of {exponent:g}",
        text=f"Bar chart, share of the tasks and share of the draws by domain: {spoken}.",
        draw=draw,
        size=(6.4, 0.7 + 0.5 * len(rows)),
    )
    return save_chart(chart, path)
