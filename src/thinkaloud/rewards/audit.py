"""The reward bench's result for `thinkaloud audit --rewards`: rows by domain, under both scorings, and a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thinkaloud.domains import BUILTIN
from thinkaloud.domains.base import CodeRunner
from thinkaloud.rewards.bench import Outcome, load_trials, run_bench


def audit_rewards(*, sandbox: CodeRunner | None = None) -> dict[str, Any]:
    """Run the reward bench with guarded scoring and with the original's formulas.

    Returns:
        JSON-ready: `passed` (no hack wins under guarded scoring), and `domains`, one row each with `domain`,
        `pairs`, `held`, `lost`, `losing` (`task`, `hack`, `against`, `honest` and `hacked` rewards), and the same under
        `original`. Verifiable domains are scored the same under both.
    """
    trials = load_trials()
    guarded = run_bench(trials, sandbox=sandbox)
    heuristic = [trial for trial in trials if not BUILTIN.is_verifiable(trial.task.domain)]
    verifiable = [outcome for outcome in guarded if BUILTIN.is_verifiable(outcome.trial.task.domain)]
    original = run_bench(heuristic, creative="original") + verifiable
    rows = [{**_row(name, guarded), "original": _row(name, original)} for name in BUILTIN]
    return {"passed": all(outcome.held for outcome in guarded), "domains": rows}


def _row(name: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    own = [outcome for outcome in outcomes if outcome.trial.task.domain == name]
    losing = [
        {
            "task": outcome.trial.about,
            "hack": outcome.trial.name,
            "against": outcome.trial.style,
            "honest": round(outcome.better.reward, 4),
            "hacked": None if outcome.worse is None else round(outcome.worse.reward, 4),
        }
        for outcome in own
        if not outcome.held
    ]
    return {"domain": name, "pairs": len(own), "held": len(own) - len(losing), "lost": len(losing), "losing": losing}


def rewards_table(found: dict[str, Any]) -> Any:
    """The result as a rich table; `losing_lines` lists the hacks that win."""
    from rich.table import Table

    table = Table(title="Reward bench: honest answers against hacks (a tie is lost)")
    for heading in ("domain", "pairs", "held", "lost", "lost under the original formulas"):
        table.add_column(heading, justify="left" if heading == "domain" else "right")
    for row in found["domains"]:
        table.add_row(
            row["domain"], *(str(row[key]) for key in ("pairs", "held", "lost")), str(row["original"]["lost"])
        )
    total = [sum(row[key] for row in found["domains"]) for key in ("pairs", "held", "lost")]
    table.add_section()
    table.add_row("all", *map(str, total), str(sum(row["original"]["lost"] for row in found["domains"])))
    return table


def losing_lines(found: dict[str, Any]) -> list[str]:
    """One line for every hack that wins under the guarded measure."""
    return [
        f"{row['domain']}: {lost['task']}, {lost['hack']} against {lost['against']}: honest {lost['honest']:.2f}, "
        + ("too little" if lost["hacked"] is None else f"hack {lost['hacked']:.2f}")
        for row in found["domains"]
        for lost in row["losing"]
    ]
