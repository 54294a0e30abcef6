"""Tunix's own Gemma 3 loads the export and gives transformers' logits, past the sliding window too.

For Llama no logits are compared: Tunix 0.1.7 rotates by a base of its own, whatever the checkpoint's `rope_theta` says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support.tunix_gemma import gemma_config

if TYPE_CHECKING:
    from conftest import Tiny

gemma3 = pytest.importorskip(
    "tunix.models.gemma3.model", reason="google-tunix is not installed; make test-peers has it"
)
torch = pytest.importorskip("torch", reason="torch is not installed; make test-peers has it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; make test-peers has it")

pytestmark = pytest.mark.filterwarnings("default")


def tunix_model(folder: Path) -> Any:
    """Tunix's own Gemma 3 or Llama with the weights of a folder."""
    import jax.numpy as jnp
    from tunix.models.gemma3 import params_safetensors
    from tunix.models.llama3 import model as llama3
    from tunix.models.llama3 import params as llama3_params

    fields: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if fields["model_type"] == "llama":
        llama_config = llama3.ModelConfig(
            num_layers=fields["num_hidden_layers"],
            embed_dim=fields["hidden_size"],
            hidden_dim=fields["intermediate_size"],
            num_heads=fields["num_attention_heads"],
            head_dim=fields["head_dim"],
            num_kv_heads=fields["num_key_value_heads"],
            vocab_size=fields["vocab_size"],
            rope_theta=int(fields["rope_theta"]),
            norm_eps=fields["rms_norm_eps"],
            weight_tying=fields["tie_word_embeddings"],
        )
        return llama3_params.create_model_from_safe_tensors(str(folder), llama_config, dtype=jnp.float32)
    return params_safetensors.create_model_from_safe_tensors(str(folder), gemma_config(fields), dtype=jnp.float32)


@pytest.fixture(autouse=True)
def promotions() -> Iterator[None]:
    """Tunix relies on the promotions that our tests forbid."""
    import jax

    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def tunix_logits(model: Any, tokens: np.ndarray) -> np.ndarray:
    """Logits [tokens, vocabulary] on one sequence."""
    import jax.numpy as jnp

    length = len(tokens)
    mask = jnp.tril(jnp.ones((1, length, length), bool))
    logits, _ = model(jnp.asarray(tokens)[None], jnp.arange(length)[None], None, mask)
    return np.asarray(logits[0], np.float32)


@pytest.mark.parametrize("tiny", ["gemma3"], indirect=True)
def test_logits(tiny: Tiny) -> None:
    folder = tiny.export("tunix", "float32")
    tokens = np.random.default_rng(0).integers(6, 262, 64).astype(np.int32)  # twice the sliding window
    reference = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        expected = reference(torch.tensor(tokens[None].astype(np.int64))).logits[0].numpy()
    assert np.abs(tunix_logits(tunix_model(folder), tokens) - expected).max() < 1e-3


def test_qwix_restores_the_adapter(tiny: Tiny) -> None:
    """On the stock base it gives the merged weights' logits, in Tunix's own Gemma 3 and Llama."""
    import qwix
    from tunix.sft.checkpoint_manager import CheckpointManager

    folder = tiny.export("tunix", "float32")
    tokens = np.random.default_rng(0).integers(6, 262, 64).astype(np.int32)
    expected = tunix_logits(tunix_model(folder), tokens)
    base = tunix_model(tiny.base)
    bare = tunix_logits(base, tokens)
    settings = json.loads((folder / "lora.json").read_text(encoding="utf-8"))
    model = qwix.apply_lora_to_model(base, qwix.LoraProvider(**settings), **base.get_model_input())
    manager = CheckpointManager(str(folder / "lora"))
    step, _ = manager.maybe_restore(model, restore_only_lora_params=True)
    manager.close()
    assert step == 1
    assert np.abs(tunix_logits(model, tokens) - expected).max() < 1e-3
    assert np.abs(bare - expected).max() > 0.1  # the adapter does something
