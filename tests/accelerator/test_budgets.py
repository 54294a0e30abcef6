"""The readers of `scripts/accelerator` find planted regressions, and stay within the budgets without them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from thinkaloud.rollout.most_likely import WIDEST_SORT
from thinkaloud.rollout.sampling import Sampling, row_keys, sample

FOLDER = Path(__file__).parents[2] / "scripts" / "accelerator"
sys.path.insert(0, str(FOLDER))

from check import over_budget  # noqa: E402
from hlo import Program, Shape  # noqa: E402

VOCABULARY = 40_000

LOOP = """HloModule step, entry_computation_layout={(bf16[8,64]{1,0})->f32[4,96]{1,0}}

%joined (p: bf16[64,32], q: bf16[64,64]) -> bf16[64,96] {
  %p = bf16[64,32]{1,0} parameter(0)
  %q = bf16[64,64]{1,0} parameter(1)
  ROOT %both = bf16[64,96]{1,0} concatenate(%p, %q), dimensions={1}
}

%slice (p.1: bf16[8,64]) -> bf16[4,64] {
  %p.1 = bf16[8,64]{1,0} parameter(0)
  ROOT %part = bf16[4,64]{1,0} slice(%p.1), slice={[0:4], [0:64]}
}

%more (carry.1: (bf16[64,32], bf16[64,64], bf16[8,64])) -> pred[] {
  %counter = s32[] parameter(0)
  %count = s32[] constant(26)
  ROOT %less = pred[] compare(%counter, %count), direction=LT
}

%body (carry: (bf16[64,32], bf16[64,64], bf16[8,64])) -> (bf16[64,32], bf16[64,64], bf16[8,64]) {
  %carry = (bf16[64,32]{1,0}, bf16[64,64]{1,0}, bf16[8,64]{1,0}) parameter(0)
  %one = bf16[64,32]{1,0} get-tuple-element(%carry), index=0
  %two = bf16[64,64]{1,0} get-tuple-element(%carry), index=1
  %cache = bf16[8,64]{1,0} get-tuple-element(%carry), index=2
  %weight = bf16[64,96]{1,0} fusion(%one, %two), kind=kLoop, calls=%joined
  %rows = bf16[4,64]{1,0} fusion(%cache), kind=kLoop, calls=%slice
  %dot = f32[4,96]{1,0} dot(%rows, %weight), lhs_contracting_dims={1}, backend_config={"estimated_cycles":"500"}
  %sum = f32[4,96]{1,0} all-reduce(%dot), to_apply=%add
  ROOT %next = (bf16[64,32]{1,0}, bf16[64,64]{1,0}, bf16[8,64]{1,0}) tuple(%one, %two, %cache)
}

ENTRY %main (x: (bf16[64,32], bf16[64,64], bf16[8,64])) -> f32[4,96] {
  %x = (bf16[64,32]{1,0}, bf16[64,64]{1,0}, bf16[8,64]{1,0}) parameter(0)
  %loop = (bf16[64,32]{1,0}, bf16[64,64]{1,0}, bf16[8,64]{1,0}) while(%x), condition=%more, body=%body
  %last = bf16[8,64]{1,0} get-tuple-element(%loop), index=2
  ROOT %wide = f32[8,64]{1,0} convert(%last), backend_config={"estimated_cycles":"7"}
}
"""


def compiled(function: Any, *arguments: Any) -> Program:
    return Program.parse(jax.jit(function).lower(*arguments).compile().as_text())


def test_a_loop_is_counted_by_hand() -> None:
    program = Program.parse(LOOP)
    known = LOOP.replace("body=%body", 'body=%body, backend_config={"known_trip_count":{"n":"3"}}')
    assert Program.parse(known).totals().kernels == 3 * 4 + 1
    body = program.longest_loop
    assert body == "body"
    assert program.totals(body).kernels == 4  # two fusions, the product, the all-reduce
    assert program.totals().kernels == 26 * 4 + 1
    assert program.totals().cycles == 26 * 500 + 7
    assert program.totals(body).collective_bytes == 4 * 96 * 4
    # both halves of the weight and the slice of the cache; not the concatenated weight, which is a result
    assert program.input_bytes(body) == 2 * (64 * 32 + 64 * 64 + 4 * 64)
    assert program.totals(body).read_bytes == program.input_bytes(body) + 2 * (4 * 64 + 64 * 96) + 4 * 4 * 96


def test_a_weight_concatenated_in_the_loop_is_found() -> None:
    program = Program.parse(LOOP)
    assert program.written("body", "concatenate", 2 * 64 * 96) == [Shape("bf16", (64, 96))]
    assert program.written("body", "concatenate", 2 * 64 * 96 + 1) == []
    assert program.written("body", "convert", 1) == []  # that of the entry is outside the loop
    assert program.written("main", "convert", 1) == [Shape("f32", (8, 64))]


def test_a_sort_of_the_whole_vocabulary_is_over_the_budget() -> None:
    logits, keys = jnp.zeros((2, VOCABULARY)), row_keys(jax.random.key(0), jnp.arange(2), 0)
    sampling = Sampling(temperature=0.7, top_k=50, top_p=0.95)
    limit = {"widest_sort": WIDEST_SORT}
    shipped = compiled(lambda x, k: sample(x, k, sampling), logits, keys)
    assert over_budget({"widest_sort": shipped.widest_sort()}, limit) == []
    planted = compiled(lambda x: jnp.sort(x, axis=-1)[:, -50:], logits)
    assert over_budget({"widest_sort": planted.widest_sort()}, limit) == ["widest_sort: 4e+04, at most 1.638e+04"]


def test_every_budget_limits_a_program_that_there_is() -> None:
    budgets = tomllib.loads((FOLDER / "budget.toml").read_text())
    source = (FOLDER / "programs.py").read_text()
    assert set(budgets) == {"v5e", "h100", "t4"}
    for programs in budgets.values():
        for name, limits in programs.items():
            assert f'"{name}": (' in source
            assert limits
            assert all(f'"{figure}"' in source for figure in limits)


def test_a_missing_compiler_is_said(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "check.py"), "--plugins", str(tmp_path), "h100"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert "skipped h100" in found.stdout
    assert "make accelerator" in found.stdout


def test_a_figure_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        over_budget({"temp_gb": 1.0}, {"loop_kernels": 1})
