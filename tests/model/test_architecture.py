"""Invariant 1: logits equal Hugging Face's, with the same argmax everywhere, past the sliding window too."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from support.golden_files import REAL, TINY, golden, golden_directory, real_files
from support.reference import all_logits, run
from thinkaloud.model.architecture import head_weight
from thinkaloud.model.load import load_model
from thinkaloud.model.packed import pack


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_model_gives_the_logits_of_transformers(name: str, tmp_path: Path) -> None:
    model = load_model(golden_directory(name, tmp_path / name), "float32")
    arrays = golden(name)
    for tokens, expected in zip(arrays["tokens"], arrays["logits"], strict=True):
        logits = np.asarray(all_logits(model.params, tokens.tolist(), model.config))
        assert np.abs(logits - expected).max() < 1e-3
        assert (logits.argmax(-1) == expected.argmax(-1)).all()
        assert len(tokens) > (model.config.sliding_window or 0)


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("length", ["short", "long"])
def test_a_real_model_gives_the_logits_of_transformers(name: str, length: str) -> None:
    model = load_model(real_files(name), "float32")
    arrays = {key.split(":")[1]: value for key, value in golden(name).items() if key.startswith(length)}
    logits = all_logits(model.params, arrays["tokens"].tolist(), model.config)
    assert (np.asarray(jnp.argmax(logits, -1)) == arrays["argmax"]).all()
    chosen = np.asarray(logits[arrays["positions"]])
    top = np.take_along_axis(chosen, arrays["top_ids"], axis=-1)
    assert np.abs(top - arrays["top_logits"]).max() < 1e-3
    assert np.abs(chosen[:, arrays["ids"]] - arrays["logits"]).max() < 1e-3


def test_padding_does_not_change_a_sequence(tmp_path: Path) -> None:
    """The same tokens, laid out beside a longer prompt, give the same logits: masks come from lengths."""
    model = load_model(golden_directory("tiny-gemma3", tmp_path / "model"), "float32")
    short, long = [5, 6, 7, 0, 0, 1], list(range(1, 40))
    alone = np.asarray(all_logits(model.params, short, model.config))
    packed = pack([long, short], [[], []])
    hidden, _ = run(model.params, {}, packed, model.config, 1.0)
    beside = np.asarray(hidden[len(long) : len(long) + len(short)] @ head_weight(model.params).T)
    np.testing.assert_allclose(beside, alone, atol=1e-5)
