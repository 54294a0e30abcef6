"""What the contract experiment found: rates by prompt, where the token ids part ways, and what is shown."""

from __future__ import annotations

from thinkaloud.evaluate.paired import LEVEL
from thinkaloud.report.run_data import Run, lookup, number
from thinkaloud.report.samples import printable
from thinkaloud.report.tables import Table, label, rate_text

_MAX_PIECE = 40


def summary(run: Run) -> tuple[str, ...]:
    """In sentences: which prompts lose the format, and for which that is not shown."""
    entries = run.contracts.get("variants", [])
    if not entries:
        return ()
    lost: list[str] = []
    gained: list[str] = []
    open_: list[str] = []
    for entry in entries:
        p = number(entry, "against_matched", "p_value")
        if p is None:
            continue
        name = printable(str(lookup(entry, "description") or entry["name"]), 80)
        more = (number(entry, "against_matched", "gained") or 0) > (number(entry, "against_matched", "lost") or 0)
        (open_ if p >= LEVEL else gained if more else lost).append(name)
    stage = label(printable(str(run.contracts.get("stage", "trained")), 40))
    said = [
        f"The {stage} model answered the same {number(run.contracts, 'n') or 0:.0f} tasks "
        f"({printable(str(run.contracts.get('split', 'unknown')), 60)}) under each prompt, decoding greedily."
    ]
    if lost:
        said.append(f"A loss of format against the matched prompt is shown for: {'; '.join(lost)}.")
    if gained:
        said.append(f"A gain is shown for: {'; '.join(gained)}.")
    if open_:
        said.append(f"No change is shown (which is no proof that there is none) for: {'; '.join(open_)}.")
    return tuple(said)


def table(run: Run) -> Table | None:
    """Format, accuracy and McNemar by prompt."""
    rows = [
        (
            printable(str(lookup(entry, "description") or entry["name"]), 80),
            rate_text(entry, "format"),
            rate_text(entry, "accuracy"),
            *_against(entry),
        )
        for entry in run.contracts.get("variants", [])
    ]
    if not rows:
        return None
    header = ("prompt", "format [95 %]", "accuracy [95 %]", "gained", "lost", "p")
    caption = "Contract experiment: against the matched prompt, on the same tasks"
    return Table(caption=caption, header=header, rows=tuple(rows))


def differences(run: Run) -> Table | None:
    """Where the token ids of one probe prompt first differ from the matched prompt's."""
    rows = []
    for entry in run.contracts.get("variants", []):
        position = number(entry, "first_difference", "position")
        if position is not None:
            rows.append(
                (
                    printable(str(lookup(entry, "description") or entry["name"]), 80),
                    f"{position:.0f}",
                    _pieces(lookup(entry, "first_difference", "expected")),
                    _pieces(lookup(entry, "first_difference", "found")),
                )
            )
    header = ("prompt", "tokens alike", "matched goes on", "this one goes on")
    return Table(caption="Where token ids first differ", header=header, rows=tuple(rows)) if rows else None


def _against(entry: object) -> tuple[str, str, str]:
    gained, lost, p = (number(entry, "against_matched", key) for key in ("gained", "lost", "p_value"))
    if gained is None or lost is None or p is None:
        return ("-", "-", "-")
    return (f"{gained:.0f}", f"{lost:.0f}", "< 0.001" if p < 0.001 else f"{p:.3f}")


def _pieces(tokens: object) -> str:
    """`9421 (Provide), 861 (·)`; a prompt that has ended says so."""
    if not isinstance(tokens, list) or not tokens:
        return "(it ends here)"
    parts = []
    for token in tokens[:3]:
        known = number(token, "id")
        parts.append(f"{known or 0:.0f} ({printable(str(lookup(token, 'piece')), _MAX_PIECE)})")
    return ", ".join(parts)
