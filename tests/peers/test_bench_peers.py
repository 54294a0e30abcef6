"""The bench with the other trainers, on a tiny model: each does the whole work, and trains. `make test-peers`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from thinkaloud.bench.measure import run_bench
from thinkaloud.config import load_recipe

TINY = Path(__file__).parents[2] / "recipes" / "tiny.toml"
SMALL = ("rollout.max_new_tokens=6", "rollout.group_size=2", "lora.rank=2")


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["trl", "trl+compile", "tunix"])
def test_a_peer_does_the_same_work_and_trains(peer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec(peer.partition("+")[0]) is None:
        pytest.skip(f"{peer} is not installed here; `make test-peers` installs it and runs this")
    for name in ("JAX_NUMPY_RANK_PROMOTION", "JAX_NUMPY_DTYPE_PROMOTION", "XLA_FLAGS"):
        monkeypatch.delenv(name, raising=False)  # our own strictness is not the peers'
    found = run_bench(load_recipe(TINY, SMALL), [f"{peer}=float32"], rounds=1, batches=1)
    assert found["skipped"] == []
    own, other = found["results"]
    assert (own["engine"], other["engine"]) == ("thinkaloud", peer)
    assert other["adapter_change"] > 0
    ratio = other["step_seconds"]["typical"] / own["step_seconds"]["typical"]
    assert found["ratios"] == {peer: pytest.approx(ratio, abs=1e-3)}
