"""Runs the engines alternately, block by block, and summarizes what they report.

A block is one process: it loads the model, takes a step on every batch of prompts (which compiles), and then its timed
steps on the same batches. Engines never run at the same time, so they do not compete for memory or cores. Blocks
alternate, so that slow phases of the machine affect all engines. The first round tries every engine in each dtype that
it can train in; later rounds use the fastest.
"""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thinkaloud.bench.process import Block, BlockFailed, run_block, run_worker
from thinkaloud.bench.roofline import shares
from thinkaloud.bench.work import Work, make_work, write_job
from thinkaloud.config import Recipe
from thinkaloud.errors import UserError, nearest

PEERS: dict[str, tuple[str, ...]] = {"trl": ("vllm", "liger", "compile"), "tunix": ()}
"""The peers, with the options of each. Their workers are `peer_<name>`, and they are installed if `<name>` imports."""

DTYPES = ("bfloat16", "float32")

OWN = "thinkaloud"
PEERS_PYTHON = Path(".venv-peers/bin/python")
MISSING = "not installed; `make peers` installs it into .venv-peers"


@dataclass(frozen=True, slots=True)
class Peer:
    """Another trainer, with what of it is switched on and the dtypes to try."""

    trainer: str
    options: tuple[str, ...]
    dtypes: tuple[str, ...]

    @property
    def engine(self) -> str:
        """`trl+liger`: its name in the results."""
        return "+".join((self.trainer, *self.options))


@dataclass(slots=True)
class Candidate:
    """An engine in one dtype, and its finished blocks."""

    engine: str
    dtype: str
    python: str
    blocks: list[Block] = field(default_factory=list)

    @property
    def module(self) -> str:
        return "own" if self.engine == OWN else f"peer_{self.engine.partition('+')[0]}"

    @property
    def options(self) -> list[str]:
        return self.engine.split("+")[1:]

    def timed(self, name: str, batches: int) -> list[float]:
        """One measurement of every timed step."""
        return [step[name] for block in self.blocks for step in block.steps[batches:]]

    def typical(self, name: str, batches: int) -> float:
        """A measurement of a step: the mean over the batches of the median of each."""
        timed = self.timed(name, batches)
        return statistics.fmean(statistics.median(timed[batch::batches]) for batch in range(batches))


def parse_peer(text: str) -> Peer:
    """`trl`, `trl=float32` or `trl+liger+compile`; without a dtype, both are tried.

    Raises:
        UserError: Unknown peer, or an option or a dtype that it does not support.
    """
    name, _, dtype = text.partition("=")
    trainer, *options = name.split("+")
    if trainer not in PEERS:
        raise UserError(f"unknown peer {trainer!r}{nearest(trainer, PEERS)}; expected one of {', '.join(PEERS)}")
    for option in options:
        if option not in PEERS[trainer]:
            known = " or ".join(PEERS[trainer]) or "no option"
            raise UserError(f"peer {trainer}: expected {known} after +, found {option!r}")
    if dtype and dtype not in DTYPES:
        raise UserError(f"peer {trainer}: expected the dtype {' or '.join(DTYPES)}, found {dtype!r}")
    return Peer(trainer, tuple(dict.fromkeys(options)), (dtype,) if dtype else DTYPES)


def find_python(trainer: str, peers_python: Path | None) -> str | None:
    """The interpreter that can import a peer: `peers_python`, this one, or that of .venv-peers; None if none can."""
    if peers_python is None and importlib.util.find_spec(trainer) is not None:
        return sys.executable
    python = peers_python or PEERS_PYTHON
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec({trainer!r}) is None)"
    try:
        found = subprocess.run([str(python), "-c", code], capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return str(python.absolute()) if found.returncode == 0 else None


def run_bench(
    recipe: Recipe,
    peers: Sequence[str] = (),
    *,
    rounds: int = 2,
    batches: int = 3,
    repeats: int = 1,
    prompt_tokens: int | None = None,
    peers_python: Path | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measure the step of this package and of the peers on the work of a recipe.

    Args:
        peers: As `parse_peer` reads them.
        rounds: Blocks per engine.
        batches: Steps with prompts of their own, of other lengths.
        repeats: Timed steps per block on each batch, after one that compiles.
        prompt_tokens: See `make_work`.
        peers_python: The interpreter of the peers' environment.
        note: Receives one line per progress event.

    Returns:
        JSON-ready: work, machine, results, skipped, ratios (a peer's typical step over ours), roofline.

    Raises:
        UserError: Recipe, model or peers cannot be used.
        BlockFailed: The package's own engine failed.
    """
    wanted = [parse_peer(peer) for peer in peers]
    candidates, skipped = [Candidate(OWN, recipe.model.dtype, sys.executable)], []
    for peer in wanted:
        python = find_python(peer.trainer, peers_python)
        if python is None:
            skipped.append({"engine": peer.engine, "reason": MISSING})
            note(f"{peer.engine}: {MISSING}")
        else:
            candidates += [Candidate(peer.engine, dtype, python) for dtype in peer.dtypes]
    with tempfile.TemporaryDirectory(prefix="thinkaloud-bench-") as name:
        folder = Path(name)
        rates = [_measure_machine(folder, recipe.model.dtype, note)]
        work = make_work(recipe, folder, batches=batches, prompt_tokens=prompt_tokens, note=note)
        for turn in range(rounds):
            if turn:
                rates.append(_measure_machine(folder, recipe.model.dtype))
            for candidate in list(candidates):
                try:
                    _take_turn(candidate, work, folder, turn, rounds, (1 + repeats) * batches, note)
                except BlockFailed as error:
                    if candidate.engine == OWN:
                        raise
                    candidates.remove(candidate)
                    skipped.append({"engine": candidate.engine, "dtype": candidate.dtype, "reason": str(error)})
                    note(f"{candidate.engine} {candidate.dtype}: failed, {error}")
            candidates = _fastest(candidates, batches)
    results = [summarize(candidate, work) for candidate in candidates]
    own = results[0]
    return {
        "work": work.describe() | {"rounds": rounds, "repeats": repeats},
        "machine": candidates[0].blocks[0].ready["machine"],
        "results": results,
        "skipped": skipped,
        "ratios": {
            row["engine"]: round(row["step_seconds"]["typical"] / own["step_seconds"]["typical"], 3)
            for row in results[1:]
        },
        "roofline": shares(work, own, rates),
    }


def _take_turn(
    candidate: Candidate, work: Work, folder: Path, turn: int, rounds: int, steps: int, note: Callable[[str], None]
) -> None:
    name = f"{candidate.engine} {candidate.dtype}"
    job = folder / f"{candidate.engine}-{candidate.dtype}-{turn}.json"
    write_job(job, work.job(dtype=candidate.dtype, steps=steps) | {"options": candidate.options})
    block = run_block(
        candidate.module,
        candidate.python,
        job,
        compile_cache=folder / "compiled" / candidate.engine,
        on_step=lambda done: note(f"round {turn + 1} of {rounds}: {name}: step {done} of {steps}"),
    )
    if block.steps[-1]["adapter_change"] <= 0:
        raise BlockFailed("its adapter did not change: it does not train")
    candidate.blocks.append(block)


def _measure_machine(folder: Path, dtype: str, note: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    job = folder / "roofline.json"
    write_job(job, {"dtype": dtype})
    device, *rates = run_worker("machine", sys.executable, job, compile_cache=folder / "compiled" / "machine")
    if device["problem"]:
        raise UserError(device["problem"])
    note(f"device: {device['device']}")
    return rates[0]


def _fastest(candidates: Sequence[Candidate], batches: int) -> list[Candidate]:
    """The fastest candidate of each engine, in the original order."""
    best: dict[str, Candidate] = {}
    for candidate in candidates:
        known = best.get(candidate.engine)
        if known is None or candidate.typical("seconds", batches) < known.typical("seconds", batches):
            best[candidate.engine] = candidate
    return list(best.values())


def summarize(candidate: Candidate, work: Work) -> dict[str, Any]:
    """One engine's row, from all timed steps of all its blocks; see `Candidate.typical`.

    `compile_seconds` is what the first step on each batch took in the first block (nothing compiled) above the typical
    step, in all; `start_seconds` is the time from process start to the first step, in the last block.
    """
    batches = len(work.batches)
    seconds, typical = candidate.timed("seconds", batches), candidate.typical("seconds", batches)
    rollout, update = candidate.typical("rollout", batches), candidate.typical("update", batches)
    first = candidate.blocks[0]
    return {
        "engine": candidate.engine,
        "version": first.ready["version"],
        "dtype": first.ready["dtype"],
        "step_seconds": {"typical": typical, "min": min(seconds), "max": max(seconds)},
        "rollout_seconds": rollout,
        "update_seconds": update,
        "rollout_tokens_per_second": work.completion_tokens / rollout,
        "update_tokens_per_second": work.completion_tokens * work.recipe.grpo.inner_iterations / update,
        "peak_memory_bytes": max(block.peak_memory_bytes for block in candidate.blocks),
        "compile_seconds": max(0.0, sum(step["seconds"] for step in first.steps[:batches]) - batches * typical),
        "start_seconds": candidate.blocks[-1].ready["start_seconds"],
        "adapter_change": min(block.steps[-1]["adapter_change"] for block in candidate.blocks),
        "steps": len(seconds),
    }
