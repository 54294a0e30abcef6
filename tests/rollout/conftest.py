from __future__ import annotations

import pytest

from thinkaloud.fetch.models import resolve_model
from thinkaloud.model.load import Model, load_model


@pytest.fixture(scope="session")
def tiny_model() -> Model:
    """The tiny random Gemma: sliding window, byte tokenizer."""
    return load_model(resolve_model("tiny"), "float32")
