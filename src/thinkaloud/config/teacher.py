"""The section `teacher` of a recipe: on-policy distillation beside the reward."""

from __future__ import annotations

from pydantic import model_validator

from thinkaloud.config.section import NotNegativeFloat, Section


class TeacherConfig(Section):
    """A larger model of the same tokenizer, whose probabilities of the student's own tokens are part of the signal.

    Each token's advantage gets `weight` times log q - log p (q: teacher, p: policy at sampling): in expectation the
    gradient of the reverse KL divergence of the next token's distributions (on-policy distillation, arXiv 2306.13649).
    """

    source: str = ""
    """A name, a directory or a .gguf file, as in `model.source`."""
    weight: NotNegativeFloat = 0.0
    """Of the teacher's signal; 0 for no teacher. Advantages of the reward have a standard deviation of 1."""
    reward: bool = True
    """False trains on the teacher's signal alone; rewards are still measured."""

    @model_validator(mode="after")
    def _named(self) -> TeacherConfig:
        if bool(self.source) != (self.weight > 0):
            raise ValueError("a teacher needs both source and a weight above 0: set the other, or remove it")
        if not self.reward and not self.source:
            raise ValueError("reward = false leaves no signal without a teacher: set source and weight, or remove it")
        return self
