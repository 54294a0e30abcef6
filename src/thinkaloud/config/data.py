"""The section `data` of a recipe: sources, domains, splits."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from thinkaloud.config.section import HeldOutShare, NotNegative, Section, Seed, Share
from thinkaloud.config.sources import KNOWN_SOURCES
from thinkaloud.errors import nearest

GENERATED_HELD_OUT = 50
"""The default of `generated_held_out` for each domain with generated tasks."""


def is_text_encoding(name: str) -> bool:
    """Whether Python has a text encoding of this name."""
    try:
        "".encode(name)
    except (LookupError, ValueError):
        return False
    return True


class SourceConfig(Section):
    """One source of tasks; an empty table uses the defaults of its adapter.

    A source without a known name is the user's own: it sets `path`, `domain` and the columns.
    """

    path: str | None = None
    """A file (.jsonl, .jsonl.gz, .json, .parquet, .csv, .tsv) or a folder of splits, read instead of the hub or of
    `data.dir`; relative to the folder in which the command runs."""
    encoding: str | None = None
    """Of text files that are not Unicode, such as `cp1252`; UTF-8, UTF-16 and UTF-32 are detected."""
    revision: str | None = None
    """Commit or tag on the hub; its newest when absent."""
    splits: tuple[str, ...] = ()
    """Which of the source's own splits are read; those of its adapter when absent. Its test rows never train."""
    cap: NotNegative | None = None
    """The most training tasks in each domain of the source; the adapter's when absent, 0 for no cap."""
    optional: bool = False
    """True: a source that is not available is reported and left out. False: it fails the build."""
    domain: str | None = None
    """Own source: the domain of its tasks, one of the seven or a new name."""
    scored_as: str | None = None
    """Own source with a new domain: the domain whose verifier scores it, or `reference` for sentences."""
    question: str = "question"
    """Own source: the column of the question."""
    context: str | None = None
    """Own source: the column of a text that is shown before the question, such as a passage."""
    answer: str = "answer"
    """Own source: the column of the gold answer."""
    answer_after: str | None = None
    """Own source: the answer stands after the last such mark (`####`) in its column; the text before is the rationale,
    unless `rationale` names one."""
    rationale: str | None = None
    """Own source: the column of a short rationale, for the cold start."""
    choices: str | tuple[str, ...] | None = None
    """Own source: the column of the options (a list), or one column for each option; shown with the question.
    Options that the question's text itself shows, on lines that begin with `A)` or `A.`, need no column."""
    tests: str | None = None
    """Own source: the column of the tests (a list of assertions), for coding."""
    setup: str | None = None
    """Own source: the column of code that runs before the tests."""
    license: str = ""
    """Own source: its licence, for the record."""

    @field_validator("encoding")
    @classmethod
    def _is_text_encoding(cls, name: str | None) -> str | None:
        if name is not None and not is_text_encoding(name):
            raise ValueError(f"expected an encoding that Python knows, such as cp1252; found {name[:40]!r}")
        return name


class DataConfig(Section):
    """Which tasks there are."""

    sources: dict[str, SourceConfig] = Field(default_factory=lambda: {"starter": SourceConfig()})
    """By name; `starter` are the tasks that ship in the package, `thinkaloud data --help` lists the others."""
    dir: str | None = None
    """A folder that holds the sources as NAME/SPLIT.jsonl, .jsonl.gz or .parquet; absent, they come from the hub."""
    domains: tuple[str, ...] = ()
    """Tasks of other domains are left out; all that the sources have when absent."""
    generated: dict[str, NotNegative] = Field(default_factory=dict)
    """Extra training tasks made by the procedural generators: `{math = 3000, logic = 1000}`."""
    generated_held_out: dict[str, NotNegative] = Field(default_factory=dict)
    """Generated held-out tasks: this many for validation, and for test as many of each kind, new instances of trained
    templates and new templates. 50 for each domain in `generated` that is absent here; 0 for none."""
    generated_steps: Annotated[int, Field(ge=1, le=4)] = 4
    """The hardest generated tasks: their computations or inferences, 1 to 4."""
    validation_share: HeldOutShare = 0.05
    """Of the tasks that their source does not hold out itself, by a hash of the question."""
    test_share: HeldOutShare = 0.05
    """The same, for the test split."""
    seed: Seed | None = None
    """Draws the generated tasks, and decides which held-out tasks come first; the recipe's `seed` when absent. Set it
    where runs of several seeds are to have the same tasks; `train --seeds` does."""
    near_duplicates: Share = 0.8
    """Tasks of one domain whose words overlap this much (Jaccard) count as copies; 0 finds exact copies only."""
    evaluation_sets: tuple[str, ...] = ()
    """Sets that no training task may share 13 words in a row with: `NAME`, `NAME:SPLIT`, or a file with questions."""

    @model_validator(mode="before")
    @classmethod
    def _domains_of_sources(cls, values: Any) -> Any:
        """Without `domains`, those of the sources, in the order of every table, new ones last."""
        if not isinstance(values, dict) or "domains" in values:
            return values
        sources = values.get("sources", {"starter": {}})
        if not isinstance(sources, dict):
            return values
        named = [known for name in sources for known in KNOWN_SOURCES.get(name, ())]
        for source in sources.values():
            own_name = source.get("domain") if isinstance(source, dict) else getattr(source, "domain", None)
            named += [own_name] if isinstance(own_name, str) else []
        usual = dict.fromkeys(name for names in KNOWN_SOURCES.values() for name in names)
        own = [name for name in dict.fromkeys(named) if name not in usual]
        return {**values, "domains": (*(name for name in usual if name in named), *own)}

    @model_validator(mode="before")
    @classmethod
    def _held_out_of_generated(cls, values: Any) -> Any:
        """Without a number in `generated_held_out`, 50 for each domain with generated tasks."""
        if not isinstance(values, dict):
            return values
        generated, given = values.get("generated", {}), values.get("generated_held_out", {})
        if not isinstance(generated, dict) or not isinstance(given, dict):
            return values
        usual = {name: GENERATED_HELD_OUT for name, count in generated.items() if count}
        return {**values, "generated_held_out": usual | given}

    @model_validator(mode="after")
    def _known(self) -> DataConfig:
        if not self.sources:
            raise ValueError("sources is empty: name at least one, such as sources = { starter = {} }")
        for name, source in self.sources.items():
            _check_source(name, source)
        if not self.domains:
            raise ValueError("domains is empty: name at least one; `thinkaloud domains` lists them")
        if len(set(self.domains)) != len(self.domains):
            raise ValueError("domains names one twice; each may stand once")
        for name in self.generated | self.generated_held_out:
            if name not in ("math", "logic"):
                raise ValueError(f"there is no generator for {name!r} (there are: math, logic)")
            if name not in self.domains:
                key = "generated" if name in self.generated else "generated_held_out"
                raise ValueError(f"{key} names {name!r}, which domains leaves out; add it there or drop it here")
        if self.validation_share + self.test_share > 0.9:
            raise ValueError(
                f"validation_share + test_share is {self.validation_share + self.test_share}, which leaves next to "
                "nothing to train on; 0.05 each is usual"
            )
        return self


def _check_source(name: str, source: SourceConfig) -> None:
    """Raises ValueError where a source is neither known nor one of the user's own that says all it must."""
    if name in KNOWN_SOURCES:
        if source.domain or source.scored_as:
            raise ValueError(f"sources.{name}: a known source has its own domain; leave domain and scored_as out")
        return
    if not source.path:
        raise ValueError(
            f"sources.{name}: not a known source{nearest(name, KNOWN_SOURCES)}; a source of your own needs path and "
            "domain"
        )
    if not source.domain:
        raise ValueError(
            f"sources.{name}: a source of your own needs domain: one that `thinkaloud domains` lists, or a new name"
        )
