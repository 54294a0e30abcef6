"""How often the intervals over seeds contain the true rate: the table of docs/compare.md.

    python scripts/interval_coverage.py

Answers are drawn from a logistic model: an effect of each seed plus one of each task, both normal with mean 0.
"""

from __future__ import annotations

import numpy as np

from thinkaloud.evaluate.seeds import mean_over_seeds

DATA_SETS, DRAWS, TASK_DEVIATION = 600, 1000, 1.5
CASES = ((3, 70, 0.0), (3, 70, 0.3), (3, 280, 0.3), (3, 280, 0.6), (5, 280, 0.6), (8, 280, 0.6))
"""Seeds, tasks, standard deviation between seeds."""


def coverage(seeds: int, tasks: int, deviation: float, rng: np.random.Generator) -> float:
    """The share of data sets whose interval contains the true rate, which is 1/2 by symmetry."""
    hits = 0
    for _ in range(DATA_SETS):
        logits = rng.normal(0, deviation, (seeds, 1)) + rng.normal(0, TASK_DEVIATION, (1, tasks))
        values = (rng.random((seeds, tasks)) < 1 / (1 + np.exp(-logits))).astype(np.float64)
        found = mean_over_seeds(values, is_rate=True, draws=DRAWS)
        assert found is not None
        hits += found.low <= 0.5 <= found.high
    return hits / DATA_SETS


def main() -> None:
    rng = np.random.default_rng(1)
    for seeds, tasks, deviation in CASES:
        print(
            f"| {seeds} | {tasks} | {deviation:g} | {100 * coverage(seeds, tasks, deviation, rng):.1f} % |", flush=True
        )


if __name__ == "__main__":
    main()
