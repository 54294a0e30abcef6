"""llama.cpp loads the GGUF exports, gives the contract's ids from a bare user message, and decodes as thinkaloud does.

It is the llama.cpp that `node-llama-cpp` carries in its npm packages; `make peers` installs it where node is there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.tiny_runs import QUESTIONS, make_run
from thinkaloud.export import export_run
from thinkaloud.export.bundle import open_bundle
from thinkaloud.rollout.generate import generate
from thinkaloud.rollout.sampling import GREEDY
from thinkaloud.session.run import open_run, stage_adapter

if TYPE_CHECKING:
    from conftest import Tiny

NODE = shutil.which("node")
PACKAGES = Path(os.environ.get("NODE_LLAMA_CPP") or Path(sys.prefix) / "node")
INSTALLED = PACKAGES / "node_modules" / "node-llama-cpp"

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(NODE is None, reason="node is not installed; with it, make peers installs node-llama-cpp"),
    pytest.mark.skipif(not INSTALLED.is_dir(), reason=f"no node-llama-cpp in {PACKAGES}; make peers installs it"),
]


def ask(folder: Path, questions: tuple[str, ...], max_tokens: int = 0) -> dict[str, Any]:
    """What llama.cpp makes of an export: prompt ids, greedy completions, stop tokens."""
    (path,) = folder.glob("*.gguf")
    script = Path(__file__).with_name("llama_cpp.mjs")
    request = json.dumps({"model": str(path), "questions": questions, "maxTokens": max_tokens})
    assert NODE is not None
    ended = subprocess.run([NODE, script, PACKAGES], input=request, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout)


def our_tokens(run: Path, stage: str, questions: tuple[str, ...], limit: int) -> list[list[int]]:
    """thinkaloud's greedy completions, the run's model in its own dtype."""
    session, opened = open_run(run)
    policy = session.load_policy()
    groups = generate(
        policy.model,
        stage_adapter(session, opened, policy, stage),
        [session.contract.encode(question) for question in questions],
        group_size=1,
        max_new_tokens=limit,
        sampling=GREEDY,
        stop_ids=session.contract.stop_ids,
        seed=0,
        scale=policy.scale,
        batch_prompts=16,
    )
    return [list(group[0].token_ids) for group in groups]


@pytest.mark.parametrize("dtype", ["float16", "q8_0"])
def test_ids_and_stop_tokens(tiny: Tiny, dtype: str) -> None:
    contract = open_bundle(tiny.run, "trained").contract
    found = ask(tiny.export("gguf", dtype), QUESTIONS)
    assert found["prompts"] == [contract.encode(question) for question in QUESTIONS]
    assert set(found["stops"]) == set(contract.stop_ids)


def test_the_same_greedy_tokens(tiny: Tiny) -> None:
    questions, limit = QUESTIONS[::5], 16
    found = ask(tiny.export("gguf", "float32"), questions, limit)["completions"]
    assert found == our_tokens(tiny.run, "trained", questions, limit)
    assert len({tuple(tokens) for tokens in found}) > 5  # the prompts matter


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize("name", ["smollm2-135m", "gemma3-270m"])
def test_real_weights(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    request.getfixturevalue("smollm2_files" if name == "smollm2-135m" else "gemma3_270m_files")
    run = make_run(tmp_path / "run", name)
    done = export_run(run, "gguf", stage="base", dtype="float16")
    contract = open_bundle(run, "base").contract
    questions, limit = QUESTIONS[:4], 12
    found = ask(done.path, questions, limit)
    assert found["prompts"] == [contract.encode(question) for question in questions]
    assert set(found["stops"]) == set(contract.stop_ids)
    ours = our_tokens(run, "base", questions, limit)
    same = sum(one == other for one, other in zip(found["completions"], ours, strict=True))
    assert same >= 3, (found["completions"], ours)  # weights in float16 may tip a tie
