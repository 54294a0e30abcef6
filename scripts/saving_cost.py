"""What saving and telling cost: seconds of the main thread a checkpoint, and a row of metrics.

    python scripts/saving_cost.py --millions 4 --rounds 20

Prints one JSON object. Compare `save_blocks_seconds` with the seconds of `checkpoint.every_steps` steps.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from pathlib import Path
from statistics import median

import jax
import jax.numpy as jnp

from thinkaloud.display import Display
from thinkaloud.recorder import Recorder
from thinkaloud.rundir import create
from thinkaloud.telemetry import TensorBoard
from thinkaloud.train.saver import Saver
from thinkaloud.train.schedule import make_optimizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=float, default=4.0, help="parameters of the adapter")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    size = int(options.millions * 1e6 / 2)
    adapter = {"q": {name: jnp.ones((1, size, 1)) for name in ("a", "b")}}
    state = make_optimizer(b1=0.9, b2=0.99, weight_decay=0.1, max_grad_norm=0.1).init(adapter)
    rates = {"n": 8, "reward": 0.5, "format_rate": 0.9, "accuracy": 0.5, "truncated": 0.1, "dead_groups": 0.2}
    row = {"stage": "grpo", **rates, "domains": {f"domain{i}": rates for i in range(7)}}
    with tempfile.TemporaryDirectory() as folder:
        run = create(Path(folder) / "run", "", {})
        recorder = Recorder(run, Display(io.StringIO()), [TensorBoard(run.path)])
        saver = Saver(run.checkpoints, keep=2, before=recorder.settle)
        blocked, whole, told = [], [], []
        for step in range(1, options.rounds + 1):
            began = time.perf_counter()
            recorder.step({**row, "step": step})
            told.append(time.perf_counter() - began)
            began = time.perf_counter()
            saver.save("grpo", step, adapter, state, {})
            blocked.append(time.perf_counter() - began)
            saver.wait()
            whole.append(time.perf_counter() - began)
        assert not saver.failures()
    found = {
        "adapter_megabytes": round(sum(leaf.nbytes for leaf in jax.tree.leaves(adapter)) / 1e6, 1),
        "save_blocks_seconds": round(median(blocked), 4),
        "save_takes_seconds": round(median(whole), 4),
        "telemetry_seconds_a_step": round(median(told), 5),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
