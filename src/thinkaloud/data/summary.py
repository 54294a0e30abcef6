"""What `thinkaloud data` shows of a pool: rows kept, rows dropped by reason, and the mixture of domains."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from thinkaloud.config import Recipe
from thinkaloud.data.mixture import mixture_of_run
from thinkaloud.data.pool import Pool
from thinkaloud.records import SPLITS


def pool_summary(recipe: Recipe, pool: Pool) -> dict[str, Any]:
    """Counts, the ledger, and the mixture over the recipe's run; JSON-ready."""
    counts = pool.counts()
    draws, table = mixture_of_run(recipe, pool)
    return {
        "counts": counts,
        "tasks": {split: sum(own[split] for own in counts.values()) for split in SPLITS},
        "sources": pool.record["lines"],
        "missing": pool.record["missing"],
        "dropped": pool.dropped,
        "mixture": [asdict(row) for row in table],
        "draws": draws,
        "exponent": recipe.mixture.exponent,
    }


def pool_tables(summary: dict[str, Any]) -> list[Table]:
    """The tables of a summary: rows by source, drops by reason, the mixture."""
    return [_sources(summary), *([_drops(summary)] if summary["dropped"] else []), _mixture(summary)]


def _table(title: str, *columns: str, left: int = 2) -> Table:
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", overflow="fold")
    return table


def _sources(summary: dict[str, Any]) -> Table:
    table = _table(
        "Rows by domain and source",
        *("domain", "source", "licence", "read", "kept", "train", "valid.", "test", "prompt tokens"),
        left=3,
    )
    for line in summary["sources"]:
        kept, tokens = line["kept"], line["prompt_tokens"]
        table.add_row(
            line["domain"] or "(none)",
            escape(line["source"]),
            escape(line["license"] or "not stated"),
            f"{line['read']:,}",
            f"{sum(kept.values()):,}",
            *(f"{kept[split]:,}" for split in SPLITS),
            f"{tokens['p50']} / {tokens['p95']} / {tokens['max']}" if tokens else "",
        )
    table.add_section()
    totals = summary["tasks"]
    read = sum(line["read"] for line in summary["sources"])
    table.add_row("all", "", "", f"{read:,}", f"{sum(totals.values()):,}", *(f"{totals[s]:,}" for s in SPLITS), "")
    table.caption = "prompt tokens: median / 95th percentile / longest, whole prompts of kept tasks"
    table.caption_justify = "left"
    return table


def _drops(summary: dict[str, Any]) -> Table:
    table = _table("Rows dropped, by reason", "source", "reason", "rows", "the first of them", left=2)
    table.columns[3].justify = "left"
    for line in summary["sources"]:
        for reason, count in line["dropped"].items():
            table.add_row(
                escape(line["source"]), escape(reason), f"{count:,}", escape(line["examples"].get(reason, ""))
            )
    return table


def _mixture(summary: dict[str, Any]) -> Table:
    table = _table(
        f"Mixture: {summary['draws']:,} draws, P(domain) ~ count^{summary['exponent']:g}",
        *("domain", "tasks", "natural share", "sampled share", "draws", "times each"),
        left=1,
    )
    for row in summary["mixture"]:
        table.add_row(
            row["domain"],
            f"{row['tasks']:,}",
            f"{row['natural_share']:.1%}",
            f"{row['sampled_share']:.1%}",
            f"{row['drawn']:,.0f}",
            f"{row['repeats']:.2f}",
        )
    return table
