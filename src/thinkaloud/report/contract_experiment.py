"""The results of the contract experiment: rates by prompt, and the first differences in token ids."""

from __future__ import annotations

from thinkaloud.evaluate.paired import LEVEL
from thinkaloud.report.run_data import Run, lookup, number
from thinkaloud.report.tables import Table, label, rate_text
from thinkaloud.storage.unicode import printable

_MAX_PIECE = 40


def summary(run: Run) -> tuple[str, ...]:
    """In sentences: for which prompts a change of the format rate is significant, and for which it is not."""
    entries = run.contracts.get("variants", [])
    if not entries:
        return ()
    lost: list[str] = []
    gained: list[str] = []
    unclear: list[str] = []
    for entry in entries:
        p = number(entry, "against_matched", "p_value")
        if p is None:
            continue
        name = printable(str(lookup(entry, "description") or entry["name"]), 80)
        more = (number(entry, "against_matched", "gained") or 0) > (number(entry, "against_matched", "lost") or 0)
        (unclear if p >= LEVEL else gained if more else lost).append(name)
    stage = label(printable(str(run.contracts.get("stage", "trained")), 40))
    sentences = [
        f"The {stage} model answered the same {number(run.contracts, 'n') or 0:.0f} tasks "
        f"({printable(str(run.contracts.get('split', 'unknown')), 60)}) with each prompt, with greedy decoding."
    ]
    if lost:
        sentences.append(f"Significantly lower format rate than with the matched prompt: {'; '.join(lost)}.")
    if gained:
        sentences.append(f"Significantly higher format rate: {'; '.join(gained)}.")
    if unclear:
        sentences.append(f"No significant difference (which does not prove that there is none): {'; '.join(unclear)}.")
    return tuple(sentences)


def table(run: Run) -> Table | None:
    """Format rate, accuracy and McNemar's test by prompt."""
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
    caption = "Contract experiment: each prompt against the matched one, on the same tasks"
    return Table(caption=caption, header=header, rows=tuple(rows))


def differences(run: Run) -> Table | None:
    """The first difference between the token ids of a probe prompt and those of the matched prompt."""
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
    header = ("prompt", "equal tokens", "matched continues with", "this one continues with")
    return Table(caption="First difference in token ids", header=header, rows=tuple(rows)) if rows else None


def _against(entry: object) -> tuple[str, str, str]:
    gained, lost, p = (number(entry, "against_matched", key) for key in ("gained", "lost", "p_value"))
    if gained is None or lost is None or p is None:
        return ("-", "-", "-")
    return (f"{gained:.0f}", f"{lost:.0f}", "< 0.001" if p < 0.001 else f"{p:.3f}")


def _pieces(tokens: object) -> str:
    """Up to three tokens, such as `9421 (Provide), 861 (·)`; a note if the prompt ends there."""
    if not isinstance(tokens, list) or not tokens:
        return "(end of the prompt)"
    parts = []
    for token in tokens[:3]:
        known = number(token, "id")
        parts.append(f"{known or 0:.0f} ({printable(str(lookup(token, 'piece')), _MAX_PIECE)})")
    return ", ".join(parts)
