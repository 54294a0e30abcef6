"""The bench of engines: its work, its counts, its output."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from thinkaloud.bench import measure
from thinkaloud.bench.measure import Candidate, Peer, find_python, parse_peer, run_bench, summarize
from thinkaloud.bench.process import Block, BlockFailed, run_block
from thinkaloud.bench.roofline import head_products, layer_products, rollout_work, shares, update_work
from thinkaloud.bench.work import Work, make_work, write_job
from thinkaloud.bench.workers import block as worker_block
from thinkaloud.config import load_recipe
from thinkaloud.errors import UserError

TINY = Path(__file__).parents[2] / "recipes" / "tiny.toml"
SMALL = ("rollout.max_new_tokens=6", "rollout.group_size=2", "grpo.beta=0.04", "lora.rank=2")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return make_work(load_recipe(TINY, SMALL), tmp_path_factory.mktemp("work"), batches=2)


def a_step(seconds: float, work: Work, change: float = 0.5) -> dict[str, Any]:
    lengths = [work.recipe.rollout.max_new_tokens] * (len(work.batches[0].prompts) * work.recipe.rollout.group_size)
    parts = {"rollout": seconds / 4, "update": seconds / 2, "lengths": lengths, "adapter_change": change}
    return {"event": "step", "seconds": seconds, **parts}


def a_block(work: Work, *seconds: float) -> Block:
    ready = {"version": "1", "dtype": "float32", "start_seconds": 3.0, "machine": {}}
    return Block(ready, [a_step(value, work) for value in seconds], 1000)


@pytest.mark.slow
def test_a_tiny_model_goes_through_the_whole_bench() -> None:
    notes: list[str] = []
    found = run_bench(load_recipe(TINY, SMALL), rounds=1, batches=2, repeats=2, note=notes.append)
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {"work", "machine", "results", "skipped", "ratios", "roofline"}
    (own,) = found["results"]
    assert (own["engine"], own["dtype"], own["steps"]) == ("thinkaloud", "float32", 4)
    assert found["work"]["completion_tokens"] == 2 * 2 * 6
    assert own["rollout_tokens_per_second"] == pytest.approx(24 / own["rollout_seconds"])
    assert own["update_tokens_per_second"] == pytest.approx(24 / own["update_seconds"])
    seconds = own["step_seconds"]
    assert 0 < seconds["min"] <= seconds["typical"] <= seconds["max"]
    assert own["rollout_seconds"] + own["update_seconds"] <= seconds["max"]
    assert own["adapter_change"] > 0
    assert own["compile_seconds"] > 0
    assert own["peak_memory_bytes"] > 50e6
    assert found["machine"]["cores"] >= 1
    assert found["roofline"]["copy_bytes_per_second"] > 1e7
    assert 0 < found["roofline"]["share"]["update"] < 1
    assert any("step 6 of 6" in note for note in notes)


def test_the_job_is_the_recipe_s_first_steps_on_its_own_weights(work: Work) -> None:
    job = json.loads(json.dumps(work.job(dtype="float32", steps=3)))
    assert job["recipe"]["model"]["source"] == str(work.weights)
    assert (job["steps"], job["recipe"]["grpo"]["max_steps"]) == (3, 3)
    lengths = [[len(prompt) for prompt in batch["prompts"]] for batch in job["batches"]]
    assert lengths == work.describe()["prompt_tokens"]
    assert [[row["id"] for row in batch["tasks"]] for batch in worker_block.of_each_step(job, job["batches"])] == [
        [task.id for task in work.batches[step].tasks] for step in (0, 1, 0)
    ]
    assert (work.weights / "model.safetensors").exists()
    assert len({length for batch in lengths for length in batch}) > 2, "the prompts should differ in length"


def test_prompts_nearest_to_a_length(tmp_path: Path) -> None:
    chosen = make_work(load_recipe(TINY), tmp_path, batches=2, prompt_tokens=300)
    prompts = [prompt for batch in chosen.batches for prompt in batch.prompts]
    assert len(set(prompts)) == 2 * len(chosen.batches[0].prompts)
    assert all(abs(len(prompt) - 300) < 20 for prompt in prompts)


def test_more_batches_than_tasks(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected at least 20000 training tasks for 10000 batches"):
        make_work(load_recipe(TINY), tmp_path, batches=10_000, prompt_tokens=300)


def test_figures_are_means_over_the_batches_of_medians_over_all_blocks(work: Work) -> None:
    """Two batches: the first took 4, 2 and 8 s, the second 10, 12 and 20 s."""
    blocks = [a_block(work, 90.0, 60.0, 4.0, 10.0, 2.0, 12.0), a_block(work, 50.0, 40.0, 8.0, 20.0)]
    row = summarize(Candidate("trl", "float32", sys.executable, blocks), work)
    assert row["step_seconds"] == {"typical": 8.0, "min": 2.0, "max": 20.0}
    assert (row["rollout_seconds"], row["update_seconds"]) == (2.0, 4.0)
    assert (row["rollout_tokens_per_second"], row["update_tokens_per_second"]) == (12.0, 6.0)
    assert row["compile_seconds"] == 90 + 60 - 2 * 8
    assert (row["peak_memory_bytes"], row["steps"]) == (1000, 6)


def test_each_engine_goes_on_in_its_fastest_dtype(work: Work) -> None:
    slow, fast = (Candidate("trl", dtype, "python", [a_block(work, 9.0, t)]) for dtype, t in (("a", 3.0), ("b", 2.0)))
    own = Candidate("thinkaloud", "auto", "python", [a_block(work, 9.0, 5.0)])
    assert measure._fastest([own, slow, fast], batches=1) == [own, fast]


def test_an_engine_whose_adapter_stays_is_left_out(work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idle = Block({}, [a_step(1.0, work, change=0.0)], 1)
    monkeypatch.setattr(measure, "run_block", lambda *args, **options: idle)
    with pytest.raises(BlockFailed, match="does not train"):
        measure._take_turn(Candidate("trl", "float32", "python"), work, tmp_path, 0, 1, 1, lambda line: None)


def test_a_worker_that_breaks_says_why(work: Work, tmp_path: Path) -> None:
    job = work.job(dtype="float32", steps=1) | {"lora": None}
    write_job(tmp_path / "job.json", job | {"recipe": {}})
    with pytest.raises(BlockFailed, match=r"exit code 1: .*name"):
        run_block("own", sys.executable, tmp_path / "job.json", compile_cache=tmp_path)


def test_missing_and_unknown_peers(tmp_path: Path) -> None:
    assert find_python("trl", tmp_path / "none" / "python") is None
    assert parse_peer("trl") == Peer("trl", (), ("bfloat16", "float32"))
    assert parse_peer("tunix=float32") == Peer("tunix", (), ("float32",))
    assert parse_peer("trl+liger+compile=bfloat16") == Peer("trl", ("liger", "compile"), ("bfloat16",))
    with pytest.raises(UserError, match=r"unknown peer 'tlr' \(did you mean 'trl'\?\)"):
        parse_peer("tlr")
    with pytest.raises(UserError, match=r"bfloat16.*float32.*found 'int8'"):
        parse_peer("trl=int8")
    with pytest.raises(UserError, match=r"peer trl: expected vllm or liger or compile after [+], found 'lieger'"):
        parse_peer("trl+lieger")
    with pytest.raises(UserError, match=r"peer tunix: expected no option after [+], found 'vllm'"):
        parse_peer("tunix+vllm")


def test_options_reach_the_worker_and_the_results(work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: dict[str, Any] = {}

    def run(module: str, python: str, job: Path, **rest: object) -> Block:
        jobs[module] = json.loads(job.read_text())
        return a_block(work, 9.0, 9.0, 3.0, 3.0)  # the two batches twice

    monkeypatch.setattr(measure, "run_block", run)
    plain, compiled = Candidate("trl", "float32", "python"), Candidate("trl+liger+compile", "float32", "python")
    for candidate in (plain, compiled):
        measure._take_turn(candidate, work, tmp_path, 0, 1, 4, lambda line: None)
        assert jobs["peer_trl"]["options"] == candidate.options
    assert compiled.options == ["liger", "compile"]
    assert summarize(compiled, work)["engine"] == "trl+liger+compile"
    assert measure._fastest([plain, compiled], batches=1) == [plain, compiled], "each way is reported"


def test_every_group_has_a_signal() -> None:
    assert worker_block.rewards(6, 3) == [0.0, 0.5, 1.0, 0.0, 0.5, 1.0]


def test_the_counted_work_by_hand(work: Work) -> None:
    config = work.model
    attention = 2 * config.hidden_size * config.head_dim * (config.num_heads + config.num_kv_heads)
    per_layer = 2 * (attention + 3 * config.hidden_size * config.intermediate_size)
    assert layer_products(config) == config.num_layers * per_layer
    assert head_products(config) == 2 * config.vocab_size * config.hidden_size
    prompts = work.batches[0].prompts
    prefill, steps = rollout_work(work, prompts, 4)
    assert len(steps) == 5
    assert prefill > sum(map(len, prompts)) * layer_products(config)
    assert steps[0][0] > 4 * (layer_products(config) + head_products(config))
    tokens = sum(map(len, prompts)) + 4 * 5
    assert update_work(work, prompts) > 3 * tokens * layer_products(config) + 3 * 24 * head_products(config)


def test_shares_are_ideal_over_measured(work: Work) -> None:
    own = {"dtype": "float32", "rollout_seconds": 10.0, "update_seconds": 20.0}
    rates = [{"copy_bytes_per_second": b, "matrix_flops_per_second": 1e9, "dtype": "float32"} for b in (1e9, 2e9)]
    found = shares(work, own, rates)
    assert found["copy_bytes_per_second"] == 2e9
    updates = [update_work(work, batch.prompts) for batch in work.batches]
    assert found["update_seconds"] == pytest.approx((updates[0] + updates[1]) / 2 / 1e9)
    assert found["share"]["update"] == pytest.approx(found["update_seconds"] / 20)
    assert found["share"]["rollout"] == pytest.approx(found["rollout_seconds"] / 10)
