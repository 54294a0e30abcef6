"""Adapters that `peft` itself writes give, merged into the base by thinkaloud, the logits they give in transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from support.tiny_runs import FAMILIES, make_base, make_run
from thinkaloud.export import export_run
from thinkaloud.fetch.models import resolve_model
from thinkaloud.model.architecture import head_weight
from thinkaloud.model.load import load_model
from thinkaloud.model.packed import forward, pack

torch = pytest.importorskip("torch", reason="torch is not installed; make test-peers has it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; make test-peers has it")
peft = pytest.importorskip("peft", reason="peft is not installed; make test-peers has it")

pytestmark = pytest.mark.filterwarnings("default")

TOKENS = np.random.default_rng(0).integers(6, 262, 48)  # past the sliding window
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
KINDS: dict[str, dict[str, Any]] = {
    "every projection": {"r": 4, "lora_alpha": 8, "target_modules": ALL},
    "some, by a pattern": {"r": 3, "lora_alpha": 5, "target_modules": r".*\.(q_proj|up_proj)"},
    "two layers": {"r": 2, "lora_alpha": 8, "target_modules": ["v_proj", "down_proj"], "layers_to_transform": [0, 2]},
    "rslora": {"r": 4, "lora_alpha": 4, "use_rslora": True, "target_modules": ALL, "init_lora_weights": "gaussian"},
    "ranks and alphas": {
        "r": 2,
        "lora_alpha": 6,
        "target_modules": ALL,
        "rank_pattern": {"k_proj": 5, r"layers\.1\.mlp\.gate_proj": 1},
        "alpha_pattern": {"o_proj": 1, "down_proj": 9},
    },
}


def reference(base: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()


def logits(model: Any) -> np.ndarray:
    with torch.no_grad():
        return model(torch.tensor(TOKENS[None])).logits[0].float().numpy()


def our_logits(base: Path, adapter: Path) -> np.ndarray:
    model = load_model(resolve_model(str(base), adapter=str(adapter)), "float32")
    run = jax.jit(forward, static_argnames=("config", "scale"))
    hidden, _ = run(model.params, {}, pack([TOKENS.tolist()], [[]]), config=model.config, scale=1.0)
    return np.asarray(hidden[: len(TOKENS)] @ head_weight(model.params).T)


@pytest.fixture(scope="module", params=FAMILIES)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(request.param, tmp_path_factory.mktemp(f"peft-{request.param}") / "base")


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_of_peft(base: Path, kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = peft.get_peft_model(reference(base), peft.LoraConfig(task_type="CAUSAL_LM", **KINDS[kind]))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    model.save_pretrained(tmp_path / "adapter")
    expected = logits(model.eval())
    assert np.abs(our_logits(base, tmp_path / "adapter") - expected).max() < 1e-3
    assert np.abs(logits(reference(base)) - expected).max() > 0.05  # the adapter does something


def test_the_export_of_a_run_that_began_from_one(base: Path, tmp_path: Path) -> None:
    """On the stock base, peft's sum of both adapters is the trained model."""
    torch.manual_seed(0)
    model = peft.get_peft_model(reference(base), peft.LoraConfig(task_type="CAUSAL_LM", **KINDS["ranks and alphas"]))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    model.save_pretrained(tmp_path / "adapter")
    run = make_run(tmp_path / "run", str(base), begun_from=tmp_path / "adapter", targets=("q", "down"))
    merged = reference(export_run(run, "hf", dtype="float32").path)
    adapted = peft.PeftModel.from_pretrained(reference(base), export_run(run, "peft").path).eval()
    assert np.abs(logits(adapted) - logits(merged)).max() < 1e-3
    assert np.abs(logits(model.eval()) - logits(merged)).max() > 0.05  # the run's own part is in it
