from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from thinkaloud.report.bars import accuracy, compliance, mixture
from thinkaloud.report.charts import Chart, completion_tokens, signal_share, training_curves
from thinkaloud.report.figures import _sheet, inline_svg, save_figures
from thinkaloud.report.run_data import Run, load_run

NAMES = [
    *("accuracy_chart", "domain_compliance_chart", "domain_reward_curves", "mixture_chart", "prompt_matching_chart"),
    "training_curves",
]


def png_size(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    return (width, height)


def test_every_figure_is_drawn_twice(built: Path) -> None:
    folder = built / "figures"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{name}.{kind}" for name in NAMES for kind in ("png", "svg")
    )
    for name in NAMES:
        width, height = png_size(folder / f"{name}.png")
        assert width > 800
        assert height > 300
        assert (folder / f"{name}.svg").read_text().startswith("<?xml")


def test_no_global_figure_is_left(built: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from thinkaloud.report.figures import save_figures
from thinkaloud.report.run_data import load_run
print(len(save_figures(load_run(Path({str(built)!r})))), "matplotlib.pyplot" in sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.stdout.split() == [str(len(NAMES)), "False"], ended.stderr


def test_what_has_no_numbers_is_not_drawn(tmp_path: Path) -> None:
    assert save_figures(Run(path=tmp_path)) == {}
    only = Run(
        path=tmp_path, grpo=({"step": 1, "reward": 0.5}, {"step": 2, "reward": None}, {"step": 3, "kl": float("inf")})
    )
    assert list(save_figures(only)) == ["training_curves"]
    assert [chart.title for chart in training_curves(only)] == ["Sampled reward"]
    assert (accuracy(only), compliance(only), mixture(only)) == (None, None, None)


def test_the_same_run_gives_the_same_svg(built: Path) -> None:
    chart = compliance(load_run(built))
    assert chart is not None
    assert inline_svg(chart, "one") == inline_svg(chart, "one")
    assert 'id="two-' in inline_svg(chart, "two")
    assert 'id="one-' not in inline_svg(chart, "two")


def test_hostile_labels_stay_text() -> None:
    chart = Chart(
        title="t", text='"><script>alert(1)</script>', draw=lambda ax: ax.set_xlabel("</svg><script> $\\frac{$")
    )
    svg = inline_svg(chart, "k")
    assert "<script" not in svg
    assert svg.count("</svg>") == 1


def test_compliance_says_every_rate_in_words() -> None:
    rates = {"n": 4, "format_rate": 0.75, "format_interval": [0.3, 0.95]}
    run = Run(
        path=Path("run"),
        summary={
            "split": "test",
            "stages": {"base": {"overall": rates, "domains": {"math": rates}}, "other": {"overall": {}, "domains": {}}},
        },
    )
    chart = compliance(run)
    assert chart is not None
    assert chart.text.endswith("math: base 75 %, other -; overall: base 75 %, other -.")
    assert "test split; tasks scored in each domain: 0 to 4." in chart.note
    assert inline_svg(chart, "k").count("75 %") >= 2


def test_steps_are_whole_numbers_however_few() -> None:
    from matplotlib.figure import Figure

    for steps in (1, 2, 3):
        run = Run(path=Path("run"), grpo=tuple({"step": k + 1, "reward": 0.5} for k in range(steps)))
        (chart,) = training_curves(run)
        axes = Figure().add_subplot()
        chart.draw(axes)
        assert all(tick == round(tick) for tick in axes.get_xticks())


def test_the_accuracy_chart_shows_both_sides_chance_and_labels_at_the_bars_ends() -> None:
    from matplotlib.figure import Figure

    counts = {"base": 0.25, "base_interval": [0.1, 0.6], "trained": 0.5, "trained_interval": [0.2, 0.8]}
    guesses = {"n": 8, "chance": 0.3, "majority_baseline": 0.4}
    run = Run(
        path=Path("run"),
        summary={
            "stages": {"trained": {"overall": guesses, "domains": {"logic": guesses}}},
            "headline": {"before": "base_plain", "after": "trained", **counts, "domains": {"logic": counts}},
        },
    )
    chart = accuracy(run)
    assert chart is not None
    assert "base, plain (format not required) and trained (format required)" in chart.text
    assert "logic: 25 % to 50 %, chance 30 %; overall:" in chart.text
    axes = Figure().add_subplot()
    chart.draw(axes)
    labels = [(text.get_position()[0], text.get_text()) for text in axes.texts]
    assert labels == [(0.25 + 0.012, "25 %")] * 2 + [(0.5 + 0.012, "50 %")] * 2, "not at the interval's end"
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "base, plain",
        "trained",
        "chance",
        "most frequent gold",
    ]
    marks = sorted({line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1})
    assert marks == [0.3, 0.4]


def test_curves_show_length_and_signal_in_place_of_the_loss() -> None:
    row = {
        **{"step": 1, "reward": 0.5, "loss": -1e-9, "zero_std_fraction": 0.25, "tokens": {"completion": 300}},
        "domains": {"math": {"n": 4}, "logic": {"n": 2}},
    }
    assert completion_tokens(row) == 50.0
    assert signal_share(row) == 0.75
    assert signal_share({**row, "signal_share": 0.9}) == 0.9
    assert (completion_tokens({"tokens": {"completion": 3}}), signal_share({})) == (None, None)
    titles = [chart.title for chart in training_curves(Run(path=Path("run"), grpo=(row,)))]
    assert titles == ["Sampled reward", "Tokens per completion", "Trained groups with signal"]


def test_a_legend_of_two_rows_stays_below_the_title() -> None:
    def draw(axes: Any) -> None:
        axes.bar([0], [1], label="one")
        axes.bar([1], [1], label="two")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=1)

    chart = Chart(title="Title", text="text", size=(5.0, 3.0), draw=draw)
    figure = _sheet([chart], 1)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert axes.get_legend().get_window_extent().y1 <= axes._left_title.get_window_extent().y0
