"""A proposal as TOML with comments. Texts from the file are quoted, and comments stay on their lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thinkaloud.init.propose import Proposal
from thinkaloud.storage.unicode import one_line

WIDTH = 150
"""Characters of a comment line, at most."""

_FLAGS = {
    "path": "relative to the folder in which you run thinkaloud",
    "encoding": "--encoding",
    "question": "--question",
    "answer": "--answer",
    "rationale": "--rationale",
    "choices": "--choices",
}

_NOTES = {
    "seed": "all other seeds are derived from it",
    "model": "--model; gemma3-1b where an accelerator is, or hub:org/name, a directory, a .gguf file",
    "context": "shown before the question",
    "answer_after": "the answer stands after this mark, the rationale before it",
    "tests": "assertions that an answer must pass",
    "setup": "code that runs before the tests",
    "validation_share": "chooses the best checkpoint",
    "test_share": "evaluated at the end, never trained on",
    "max_steps": "",
    "learning_rate": "by the model's size",
    "prompts_per_step": "tasks per step",
    "group_size": "answers per task and step",
}


def recipe_text(proposal: Proposal) -> str:
    """The text of the recipe file."""
    check, columns = proposal.check, proposal.columns
    lines = [
        *_comment(f"Written by `thinkaloud init` for {proposal.sample.path.name}: {proposal.sample.written}."),
        *_comment(_read(proposal)),
        *(
            line
            for dropped in check.dropped
            for line in _comment(_dropped(dropped.count, dropped.reason, dropped.example))
        ),
        *(line for note in (*check.notes, *proposal.scorer.doubts) for line in _comment(f"- {note}")),
        *(
            _comment(f"Columns that are not used: {', '.join(map(one_line, columns.unused))}.")
            if columns.unused
            else ()
        ),
        *_comment("Hardware, time, result: not measured yet. `thinkaloud audit` estimates memory and time."),
    ]
    notes = {
        **_NOTES,
        "domain": "a name of your own, for tables and reports",
        "scored_as": f"{proposal.scorer.why}; --domain",
        "source": _cold_start(proposal),
        "max_prompt_tokens": check.limits.how,
        "max_new_tokens": "twice the usual reply" if check.rationales else "the answer, and room for the reasoning",
        **{key: "; ".join(filter(None, (columns.why.get(key, ""), flag))) for key, flag in _FLAGS.items()},
    }
    lines += _table(proposal.values, notes)
    return "\n".join(lines) + "\n"


def _read(proposal: Proposal) -> str:
    check = proposal.check
    kept = sum(check.kept.values())
    first = "" if proposal.sample.is_whole else "the first "
    counts = ", ".join(f"{count:,} {split}" for split, count in check.kept.items())
    return (
        f"First check: {first}{check.rows:,} rows read, {kept:,} tasks kept ({counts}), {check.rows - kept:,} dropped."
    )


def _dropped(count: int, reason: str, example: str) -> str:
    return f"- {count:,} dropped: {reason}" + (f" (first: {example})" if example else "")


def _cold_start(proposal: Proposal) -> str:
    if proposal.check.rationales:
        return f"{proposal.check.rationales:,} training tasks have a rationale"
    return (
        "no rationales: the model's own right answers after one worked example; --rationale COLUMN where there is one"
    )


def _comment(text: str) -> list[str]:
    """A comment line; characters that TOML does not allow in comments are escaped."""
    shown = one_line(text)
    return [f"# {shown if len(shown) <= WIDTH else shown[: WIDTH - 1] + '…'}"]


def _table(values: Mapping[str, Any], notes: Mapping[str, str], path: tuple[str, ...] = ()) -> list[str]:
    """The lines of a table: its values, then its tables."""
    import tomli_w

    lines: list[str] = []
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    if path and plain:
        header = tomli_w.dumps(_nested(path)).strip().splitlines()[-1]
        lines += ["", header]
    for key, value in plain.items():
        line = " ".join(tomli_w.dumps({key: value}).split("\n")).strip()  # a list is written on several lines
        note = one_line(notes.get(key, ""))
        lines.append(f"{line} # {note}" if note else line)
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += _table(value, notes, (*path, key))
    return lines


def _nested(path: tuple[str, ...]) -> dict[str, Any]:
    return {path[0]: _nested(path[1:])} if path else {}
