"""Charts as files (figures/*.png and *.svg, on white) and as inline SVG that follows the page's colours.

Uses Matplotlib's object interface only: no pyplot, no global figure, no display. The same run gives the same files.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

from thinkaloud.report import bars, charts
from thinkaloud.report.charts import Chart
from thinkaloud.report.run_data import Run
from thinkaloud.storage.atomic import replacing

DPI = 200
_NOTE_CHARACTERS_PER_INCH = 15


def save_figures(run: Run) -> dict[str, Path]:
    """Draw every chart that the run has data for into its `figures/`.

    Returns:
        The PNG of each figure by name; an SVG is beside it.
    """
    accuracy, compliance = bars.accuracy(run), bars.compliance(run)
    matching, mixture = bars.prompt_matching(run), bars.mixture(run)
    sheets: dict[str, tuple[list[Chart], int]] = {
        "accuracy_chart": ([accuracy] if accuracy else [], 1),
        "domain_compliance_chart": ([compliance] if compliance else [], 1),
        "prompt_matching_chart": ([matching] if matching else [], 1),
        "training_curves": (charts.training_curves(run) + charts.cold_start_curves(run), 3),
        "domain_reward_curves": (charts.domain_curves(run), 3),
        "mixture_chart": ([mixture] if mixture else [], 1),
    }
    folder = run.path / "figures"
    folder.mkdir(exist_ok=True)
    saved = {}
    for name, (sheet, columns) in sheets.items():
        if sheet:
            with _style("path"):
                figure = _sheet(sheet, columns)
                for suffix in ("svg", "png"):
                    _save(figure, folder / f"{name}.{suffix}")
            saved[name] = folder / f"{name}.png"
    return saved


def save_chart(chart: Chart, path: Path) -> Path:
    """Save one chart as a .png or .svg file, in the common style; returns the path."""
    return save_charts([chart], path, columns=1)


def save_charts(sheet: Sequence[Chart], path: Path, *, columns: int) -> Path:
    """Save charts beside each other as one .png or .svg file, in the common style; returns the path."""
    with _style("path"):
        _save(_sheet(sheet, columns), path)
    return path


def inline_svg(chart: Chart, key: str) -> str:
    """One chart as an `<svg>` element, with its text alternative as label and its colours as custom properties.

    Args:
        chart: The chart.
        key: Unique on the page; a prefix of every id, so that charts do not share clip paths.
    """
    with _style("none"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=chart.size, layout="constrained")
        chart.draw(_axes(figure.add_subplot()))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{key}-", svg)
    svg = re.sub(r"(font: (?:[a-z0-9]+ )*[\d.]+px )[^;\"]*", r"\1var(--font)", svg)
    for name, color in charts.COLORS.items():
        svg = svg.replace(color, f"var(--{name})")
    width, height = chart.size
    head = f'<svg role="img" aria-label="{escape(chart.text)}" viewBox="0 0 {72 * width:g} {72 * height:g}" '
    return re.sub(r"<svg[^>]*>", lambda _: head + 'xmlns:xlink="http://www.w3.org/1999/xlink">', svg, count=1)


def _sheet(sheet: Sequence[Chart], columns: int) -> Any:
    """Several charts on one figure, row by row, each with its title."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = min(columns, len(sheet))
    rows = -(-len(sheet) // columns)
    width, height = sheet[0].size
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, wspace=0.03, hspace=0.04)
    figure = Figure(figsize=(columns * width, rows * (height + 0.35) + 0.3), layout=layout)
    for position, chart in enumerate(sheet):
        axes = _axes(figure.add_subplot(rows, columns, position + 1))
        chart.draw(axes)
        legend = axes.get_legend()  # of one row or more, between the axes and the title
        above = legend.get_window_extent().height * 72 / figure.dpi if legend else 0.0
        axes.set_title(chart.title, loc="left", pad=8 + above)
    notes = dict.fromkeys(chart.note for chart in sheet if chart.note)
    note = textwrap.fill(" ".join(notes), int(_NOTE_CHARACTERS_PER_INCH * columns * width))
    figure.supxlabel(note, x=0.01, ha="left", fontsize=8.5, color=charts.MUTED)
    return figure


def _axes(axes: Any) -> Any:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return axes


def _save(figure: Any, path: Path) -> None:
    kind = path.suffix[1:]
    extra = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    with replacing(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=DPI, metadata=extra)


@contextmanager
def _style(fonttype: str) -> Iterator[None]:
    """The style of every chart, active inside the context."""
    import matplotlib

    with matplotlib.rc_context(
        {
            "font.family": ["DejaVu Sans"],
            "font.size": 9,
            "text.color": charts.INK,
            "text.parse_math": False,
            "axes.edgecolor": charts.MUTED,
            "axes.labelcolor": charts.MUTED,
            "axes.titlesize": 11,
            "axes.titleweight": "bold",
            "axes.titlecolor": charts.INK,
            "axes.axisbelow": True,
            "axes.formatter.limits": (-3, 4),
            "axes.formatter.useoffset": False,
            "xtick.color": charts.MUTED,
            "ytick.color": charts.MUTED,
            "xtick.labelcolor": charts.INK,
            "ytick.labelcolor": charts.INK,
            "ytick.major.size": 0,
            "figure.facecolor": charts.PAPER,
            "svg.fonttype": fonttype,
            "svg.hashsalt": "thinkaloud",
        }
    ):
        yield
