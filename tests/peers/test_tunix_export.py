"""Tunix's own Gemma 3 loads the export and gives transformers' logits, past the sliding window too.

For Llama no logits are compared: Tunix 0.1.7 rotates by a base of its own, whatever the checkpoint's `rope_theta` says.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from conftest import Tiny

gemma3 = pytest.importorskip(
    "tunix.models.gemma3.model", reason="google-tunix is not installed; make test-peers has it"
)
torch = pytest.importorskip("torch", reason="torch is not installed; make test-peers has it")
transformers = pytest.importorskip("transformers", reason="transformers is not installed; make test-peers has it")

pytestmark = pytest.mark.filterwarnings("default")


def tunix_logits(folder: Path, tokens: np.ndarray) -> np.ndarray:
    """Logits [tokens, vocabulary] of Tunix's Gemma 3 on one sequence."""
    import jax
    import jax.numpy as jnp
    from tunix.models.gemma3 import params_safetensors

    fields: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = gemma3.ModelConfig(
        num_layers=fields["num_hidden_layers"],
        num_embed=fields["vocab_size"],
        embed_dim=fields["hidden_size"],
        hidden_dim=fields["intermediate_size"],
        num_heads=fields["num_attention_heads"],
        head_dim=fields["head_dim"],
        num_kv_heads=fields["num_key_value_heads"],
        sliding_window_size=fields["sliding_window"],
        local_base_frequency=int(fields["rope_local_base_freq"]),
        global_base_frequency=int(fields["rope_theta"]),
        param_dtype=jnp.float32,
    )
    # Tunix relies on the promotions that our tests forbid.
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        model = params_safetensors.create_model_from_safe_tensors(str(folder), config, dtype=jnp.float32)
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
    assert np.abs(tunix_logits(folder, tokens) - expected).max() < 1e-3
