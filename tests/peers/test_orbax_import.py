"""Gemma as Kaggle has it for Flax: Tunix's own reader and ours, SentencePiece's tokenizer and ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tunix_gemma import gemma_config

from support.orbax_checkpoints import flat_tree, save_orbax, sentencepiece_file
from support.tiny_runs import QUESTIONS, bytewise_metadata, make_base
from thinkaloud.fetch.gguf_header import read_gguf_header
from thinkaloud.fetch.models import ModelFiles, resolve_model
from thinkaloud.model import orbax_reader
from thinkaloud.model.architecture import head_weight
from thinkaloud.model.load import load_model
from thinkaloud.model.orbax_reader import Release
from thinkaloud.model.packed import forward, pack
from thinkaloud.model.weights import load_checkpoint
from thinkaloud.prompt.gguf_tokenizer import tokenizer_from_gguf
from thinkaloud.prompt.sentencepiece_model import read_sentencepiece
from thinkaloud.prompt.tokenizer import Tokenizer

gemma3 = pytest.importorskip(
    "tunix.models.gemma3.model", reason="google-tunix is not installed; make test-peers has it"
)
sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed; make test-peers has it")

pytestmark = pytest.mark.filterwarnings("default")

TEXTS = (*QUESTIONS, "<start_of_turn>user\nhi<end_of_turn>\n", "<unused3> and <mask>", "", "\t\t\tx \n \n\n ")


@pytest.fixture(autouse=True)
def promotions() -> Iterator[None]:
    """Tunix relies on the promotions that our tests forbid."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def test_logits_are_those_of_tunix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the sliding window, from one checkpoint."""
    from tunix.models.gemma3 import params as reader

    monkeypatch.setitem(orbax_reader.RELEASES, (6, 64), Release(32, 4096))
    config, params = load_checkpoint(resolve_model(str(make_base("gemma3", tmp_path / "base"))))
    save_orbax(flat_tree(config, params), tmp_path / "kaggle" / "gemma3-tiny-it")
    sentencepiece_file(bytewise_metadata(), tmp_path / "kaggle" / "tokenizer.model")

    shape = gemma_config(config.to_hf())
    theirs = reader.create_model_from_checkpoint(str(tmp_path / "kaggle" / "gemma3-tiny-it"), shape, dtype=jnp.float32)
    tokens = np.random.default_rng(0).integers(6, 262, 80).astype(np.int32)
    mask = jnp.tril(jnp.ones((1, 80, 80), bool))
    expected = np.asarray(theirs(jnp.asarray(tokens)[None], jnp.arange(80)[None], None, mask)[0][0], np.float32)

    ours = load_model(resolve_model(str(tmp_path / "kaggle")), "float32")
    run = jax.jit(forward, static_argnames=("config", "scale"))
    hidden, _ = run(ours.params, {}, pack([tokens.tolist()], [[]]), config=ours.config, scale=1.0)
    logits = np.asarray(hidden[:80] @ head_weight(ours.params).T)
    assert np.abs(logits - expected).max() < 1e-3
    assert np.abs(expected).max() > 0.5  # they say something


def expect_the_ids_of_sentencepiece(metadata: dict[str, Any], path: Path) -> Tokenizer:
    """A file of these pieces, read by the library and by us; returns our tokenizer."""
    library = sentencepiece.SentencePieceProcessor(model_file=str(sentencepiece_file(metadata, path)))
    ours = Tokenizer(*tokenizer_from_gguf(read_sentencepiece(path)))
    assert [ours.token_id(role) for role in ("<bos>", "<eos>", "<pad>", "<unk>")] == [
        library.bos_id(),
        library.eos_id(),
        library.pad_id(),
        library.unk_id(),
    ]
    for text in TEXTS:
        assert ours.encode(text) == library.encode(text), text
    return ours


def test_ids_are_those_of_sentencepiece(tmp_path: Path) -> None:
    expect_the_ids_of_sentencepiece(bytewise_metadata(), tmp_path / "tokenizer.model")


@pytest.mark.slow
@pytest.mark.weights
def test_gemma_s_own_vocabulary(gemma3_270m_files: ModelFiles, tmp_path: Path) -> None:
    header = read_gguf_header(gemma3_270m_files.weights[0])
    ours = expect_the_ids_of_sentencepiece(header.metadata, tmp_path / "tokenizer.model")
    assert ours.identity == Tokenizer(*tokenizer_from_gguf(header)).identity
