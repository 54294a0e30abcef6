"""How many programs a long run compiles on an accelerator: lengths of 300 simulated steps through the real layout."""

from __future__ import annotations

import numpy as np
import pytest

from thinkaloud.model.packed import Buckets, pack, power_of_two, round_up
from thinkaloud.rollout.batch_size import smallest_batch

MAX_PROMPT, MAX_NEW, PREFIX = 1024, 512, 96
BUCKETS = Buckets.of("gpu", MAX_PROMPT, PREFIX)


def simulated_step(rng: np.random.Generator, prompts: int, group: int) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Prompts of 110 to 1,024 tokens (median 270) and completions of 20 to 512 (median 181), log-normal."""
    lengths = np.clip(rng.lognormal(5.6, 0.55, prompts), 110, MAX_PROMPT).astype(int)
    news = np.clip(rng.lognormal(5.2, 0.5, (prompts, group)), 20, MAX_NEW).astype(int)
    common = list(range(PREFIX))
    return [common + [1000 + row] * (n - PREFIX) for row, n in enumerate(lengths)], [
        [[7] * n for n in row] for row in news
    ]


@pytest.mark.parametrize(("prompts", "group", "micro_batch"), [(4, 4, 4), (4, 4, 2), (32, 8, 8)])
def test_300_steps_compile_few_programs(prompts: int, group: int, micro_batch: int) -> None:
    rng = np.random.default_rng(0)
    updates: set[tuple[object, ...]] = set()
    decodes: set[tuple[int, ...]] = set()
    real = padded = 0
    for _ in range(300):
        ids, completions = simulated_step(rng, prompts, group)
        slots = round_up(max(map(len, ids)), BUCKETS.prompt)
        decodes |= decode_shapes(prompts, group, slots)
        order = sorted(range(prompts), key=lambda i: len(ids[i]))
        for first in range(0, prompts, micro_batch):
            rows = order[first : first + micro_batch]
            packed = pack(
                [ids[i] for i in rows],
                [completions[i] for i in rows],
                prompt_bucket=BUCKETS.prompt,
                completion_bucket=MAX_NEW,
                prefix_length=BUCKETS.prefix_of([ids[i] for i in rows]),
                per_octave=BUCKETS.per_octave,
                row_shares=BUCKETS.row_shares,
            )
            updates.add((len(packed.tokens), len(packed.targets), packed.prompt_length, packed.own_offsets.shape))
            real += int(packed.token_valid.sum())
            padded += len(packed.tokens)
    assert len(updates) <= 8
    assert len(decodes) <= (4 if prompts * group <= 64 else 6)  # more rows: repacked twice, for each size of prompts
    assert 1 - real / padded <= 0.25


def decode_shapes(prompts: int, group: int, slots: int) -> set[tuple[int, ...]]:
    """The shapes of a batch as rows end: repacked whenever half of the rows are done."""
    shapes = {(prompts, group, slots)}
    rows = power_of_two(prompts) * group
    while rows // 2 >= smallest_batch("gpu"):
        rows //= 2
        shapes.add((rows, 1, slots))
    return shapes
