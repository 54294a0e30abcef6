"""The bench of samplers, with a stand-in for vLLM."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.cli import Run
from support.vllm_server import serving
from thinkaloud.bench.samplers import run_sampler_bench
from thinkaloud.cli.bench import _print_samplers
from thinkaloud.config import load_recipe
from thinkaloud.errors import UserError

TINY = Path(__file__).parents[2] / "recipes" / "tiny.toml"
SMALL = ("rollout.max_new_tokens=4", "lora.rank=2", "rollout.engine='vllm'")


def test_both_samplers_do_the_same_work(capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as standin:
        recipe = load_recipe(TINY, [*SMALL, f"vllm.urls=['{standin.url}']"])
        notes: list[str] = []
        found = run_sampler_bench(recipe, rows=[8, 16], repeats=2, note=notes.append)
    assert json.loads(json.dumps(found)) == found
    assert [(row["sampler"], row["rows"]) for row in found["results"]] == [
        ("jax", 8),
        ("jax", 16),
        ("vllm", 8),
        ("vllm", 16),
    ]
    for row in found["results"]:
        assert f"{row['sampler']}: {row['rows']} rows: {row['tokens_per_second']:.0f} tokens/s" in notes
        seconds = row["seconds"]
        assert 0 < seconds["min"] <= seconds["median"] <= seconds["max"]
        assert row["tokens_per_second"] == pytest.approx(row["rows"] * 4 / seconds["median"])
    speeds = {(row["sampler"], row["rows"]): row["tokens_per_second"] for row in found["results"]}
    assert found["ratios"]["16"] == pytest.approx(speeds["vllm", 16] / speeds["jax", 16], abs=1e-3)
    assert len(standin.completions) == 3 * 8 + 3 * 16
    _print_samplers(found)
    printed = capsys.readouterr().out
    assert all(f"{row['seconds']['median']:.2f}" in printed for row in found["results"])


def test_mistakes(run: Run) -> None:
    with pytest.raises(UserError, match="multiples of 8"):
        run_sampler_bench(load_recipe(TINY), rows=[12])
    ended = run("bench", str(TINY), "--sampler", "sglang")
    assert ended.code == 2
    assert "expected vllm" in ended.err
    assert run("bench", str(TINY), "--sampler", "vllm", "--rows", "16", "--set", "vllm.python=none").code == 2
