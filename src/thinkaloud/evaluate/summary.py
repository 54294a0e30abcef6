"""Rows of an evaluation, and what they add up to.

A `Row` is one greedy completion with its score; `eval/<stage>.parquet` holds them, `eval/summary.json` their rates.

What is counted. A completion without a reward (`unscorable`, `sandbox_error`: the judge failed, not the model) counts
in no rate: neither as wrong nor as right. `n` is the number of the others, the one denominator of every rate; `masked`
says how many were left out, so `n + masked` tasks were asked. A completion keeps the format when its status is neither
`bad_format` nor `truncated`. Accuracy is the share of `correct` among the completions of verifiable domains, the
ones that broke the format included: an answer that cannot be found is not right.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkaloud.domains import domain
from thinkaloud.errors import UserError
from thinkaloud.evaluate.statistics import bootstrap_interval, mcnemar_exact, wilson_interval
from thinkaloud.prompt.parse import OutsideText, Tags, parse_completion
from thinkaloud.records import DOMAINS, Completion, Finish, Score, Status, Task

if TYPE_CHECKING:
    from rich.table import Table

STAGES = ("base", "cold_start", "trained")
"""The policies that are evaluated, in the order of every table and chart."""

RULES: tuple[OutsideText, ...] = ("reject", "allow")
"""What the format says of text outside the tags; rates are given under both, so that figures can be compared."""

STAGE_LABELS = {"base": "base", "cold_start": "cold start", "trained": "trained"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One completion of an evaluation; `components` is the reward's breakdown as a JSON object."""

    task_id: str
    domain: str
    source: str
    question: str
    gold: str
    text: str
    finish: str
    num_tokens: int
    reward: float
    status: str
    reason: str | None
    components: str
    explanation: str

    @classmethod
    def of(cls, task: Task, completion: Completion, score: Score) -> Row:
        """The row of a task, its completion and what that earned."""
        return cls(
            task_id=task.id,
            domain=task.domain,
            source=task.source,
            question=task.question,
            gold=task.answer,
            text=completion.text,
            finish=completion.finish.value,
            num_tokens=len(completion.token_ids),
            reward=score.reward,
            status=score.status.value,
            reason=score.reason,
            components=json.dumps(score.components),
            explanation=score.explanation,
        )

    @property
    def masked(self) -> bool:
        """True where no reward could be formed."""
        return Status(self.status).masked

    @property
    def keeps_format(self) -> bool:
        """True where reasoning and answer were found as the contract asks."""
        return Status(self.status) not in (Status.BAD_FORMAT, Status.TRUNCATED)


def summarize(rows: Sequence[Row], *, tags: Tags | None = None) -> dict[str, Any]:
    """Rates and means of one stage, overall and by domain.

    Args:
        rows: the stage's completions, any order.
        tags: the contract's; the default ones without it.

    Returns:
        `{"overall": {...}, "domains": {name: {...}}}`, domains in the usual order. Each object has

        - `n` scored completions, and `masked` others;
        - `format_rate` and `format_interval` (Wilson, 95 %);
        - `accuracy` and `accuracy_interval`, null where no completion of a verifiable domain was scored;
        - `mean_reward` and `reward_interval` (bootstrap, 95 %), `truncated_rate`, `mean_tokens`;
        - `format_rate_by_rule`: parsed again, with text outside the tags under `reject` and under `allow`;
        - `answer_words`: the mean length of the answers found under `allow`;
        - `statuses` and `reasons`: counts over all completions.

        Rates and means are null where n is 0.

    Raises:
        UserError: a row's domain is unknown.
    """
    ordered = in_order({row.domain for row in rows})
    return {
        "overall": _rates(rows, tags),
        "domains": {name: _rates([row for row in rows if row.domain == name], tags) for name in ordered},
    }


def in_order(domains: Collection[str]) -> list[str]:
    """Domains in the order of every table and chart; unknown ones last."""
    return [name for name in DOMAINS if name in domains] + sorted(set(domains).difference(DOMAINS))


def _rates(rows: Sequence[Row], tags: Tags | None) -> dict[str, Any]:
    scored = [row for row in rows if not row.masked]
    checked = [row for row in scored if domain(row.domain).kind == "verifiable"]
    n = len(scored)
    strict, lenient = (
        [
            parse_completion(row.text, truncated=row.finish == Finish.LENGTH, outside_text=rule, tags=tags)
            for row in scored
        ]
        for rule in RULES
    )
    words = [len(parsed.answer.split()) for parsed in lenient if parsed.answer is not None]
    kept = sum(row.keeps_format for row in scored)
    correct = sum(row.status == Status.CORRECT for row in checked)
    cut = sum(row.finish == Finish.LENGTH for row in scored)
    rewards = [row.reward for row in scored]
    return {
        "n": n,
        "masked": len(rows) - n,
        "format_rate": kept / n if n else None,
        "format_interval": list(wilson_interval(kept, n)),
        "accuracy": correct / len(checked) if checked else None,
        "accuracy_interval": list(wilson_interval(correct, len(checked))) if checked else None,
        "mean_reward": sum(rewards) / n if n else None,
        "reward_interval": list(bootstrap_interval(rewards)) if n else None,
        "truncated_rate": cut / n if n else None,
        "mean_tokens": sum(row.num_tokens for row in scored) / n if n else None,
        "format_rate_by_rule": {
            rule: sum(parsed.valid for parsed in found) / n if n else None
            for rule, found in zip(RULES, (strict, lenient), strict=True)
        },
        "answer_words": sum(words) / len(words) if words else None,
        "statuses": dict(Counter(row.status for row in rows).most_common()),
        "reasons": dict(Counter(row.reason for row in rows if row.reason).most_common()),
    }


def compare(before: Sequence[Row], after: Sequence[Row]) -> dict[str, Any]:
    """Format compliance of two stages on the tasks that both answered and that were scored in both.

    Returns:
        `n` paired tasks, how many `gained` and `lost` the format, and the exact McNemar `p_value`.
    """
    first = {row.task_id: row.keeps_format for row in before if not row.masked}
    pairs = [(first[row.task_id], row.keeps_format) for row in after if not row.masked and row.task_id in first]
    gained = sum(now and not was for was, now in pairs)
    lost = sum(was and not now for was, now in pairs)
    return {"n": len(pairs), "gained": gained, "lost": lost, "p_value": mcnemar_exact(gained, lost)}


def build_summary(split: str, stages: Mapping[str, Sequence[Row]], *, tags: Tags | None = None) -> dict[str, Any]:
    """The object of `eval/summary.json`: every stage summarised, and each later stage compared with the first."""
    names = [name for name in STAGES if name in stages] + [name for name in stages if name not in STAGES]
    return {
        "split": split,
        "stages": {name: summarize(stages[name], tags=tags) for name in names},
        "format_change": {f"{names[0]} -> {name}": compare(stages[names[0]], stages[name]) for name in names[1:]},
    }


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the summary as JSON, whole or not at all.

    Raises:
        UserError: the folder cannot be written.
    """
    text = json.dumps(summary, indent=2, ensure_ascii=True, allow_nan=False) + "\n"
    _replace(path, lambda temporary: temporary.write_text(text, encoding="ascii"))


def read_summary(path: Path) -> dict[str, Any]:
    """Read `eval/summary.json`.

    Raises:
        UserError: the file is missing, or is not the JSON of a summary.
    """
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); run `thinkaloud eval` on the run first") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); run `thinkaloud eval` again to write it anew") from error
    if not isinstance(summary, dict) or not isinstance(summary.get("stages"), dict):
        raise UserError(f"{path} holds no evaluation: expected an object with 'stages'; run `thinkaloud eval` again")
    return summary


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as Parquet, one column a field, whole or not at all; text that is not Unicode is mended with U+FFFD.

    Raises:
        UserError: the folder cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"num_tokens": pa.int64(), "reward": pa.float64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in Row.__dataclass_fields__])
    table = pa.Table.from_pylist([_encodable(asdict(row)) for row in rows], schema=schema)
    _replace(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))


def read_rows(path: Path) -> list[Row]:
    """Read the rows that `write_rows` wrote; further columns are ignored.

    Raises:
        UserError: the file is missing, is not Parquet, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(Row.__dataclass_fields__)
    try:
        table = pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"cannot read {path} as Parquet ({error}); run `thinkaloud eval` again") from error
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise UserError(f"{path} lacks the columns {', '.join(missing)}; run `thinkaloud eval` again")
    table = table.select(columns)
    try:
        return [Row(**{**values, "status": Status(values["status"]).value}) for values in table.to_pylist()]
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} is not an evaluation's rows ({error}); run `thinkaloud eval` again") from error


def _encodable(values: dict[str, Any]) -> dict[str, Any]:
    """Lone surrogates, which UTF-8 cannot hold, replaced; a surrogate pair becomes its character."""
    return {
        name: value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(value, str) else value
        for name, value in values.items()
    }


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    """Write beside `path`, flush to disk, then rename over it: a reader never sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror or error}); free some space or choose a folder that can be written"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def summary_table(summary: Mapping[str, Any]) -> Table:
    """The summary as a table of domain x stage, at most 80 columns wide."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"Held-out tasks ({summary.get('split', '?')} split), greedy decoding",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        pad_edge=False,
    )
    for heading in ("domain", "stage"):
        table.add_column(heading, no_wrap=True)
    for heading in ("n", "format [95 %]", "accuracy", "reward", "cut"):
        table.add_column(heading, justify="right", no_wrap=True)
    stages = summary["stages"]
    domains = list(dict.fromkeys(key for stage in stages.values() for key in stage["domains"]))
    for name in [*domains, "overall"]:
        for position, (stage, result) in enumerate(stages.items()):
            rates = result["overall"] if name == "overall" else result["domains"].get(name)
            if rates is not None:
                table.add_row(
                    name if position == 0 else "",
                    STAGE_LABELS.get(stage, stage),
                    *_cells(rates),
                    style="bold" if name == "overall" else None,
                    end_section=position == len(stages) - 1,
                )
    if any(rates.get("masked") for stage in stages.values() for rates in stage["domains"].values()):
        table.caption = "n+k: k more completions could not be scored, and count in no rate"
    return table


def _cells(rates: Mapping[str, Any]) -> list[str]:
    """The numbers of one row of the table."""
    reward = rates.get("mean_reward")
    n, masked = rates.get("n", 0), rates.get("masked", 0)
    return [
        f"{n}+{masked}" if masked else str(n),
        f"{percent(rates.get('format_rate'))} {percent_range(rates.get('format_interval'))}".strip(),
        percent(rates.get("accuracy")),
        "-" if reward is None else f"{reward:.3f}",
        percent(rates.get("truncated_rate")),
    ]


def percent(rate: float | int | None) -> str:
    """`97 %`; `99.8 %` where whole per cents would call a rate 0 or 100 that is neither; `-` where there is none."""
    if rate is None:
        return "-"
    whole = f"{100 * rate:.0f}"
    exact = rate in (0.0, 1.0) or whole not in ("0", "100")
    return f"{whole} %" if exact else f"{100 * rate:.1f} %"


def percent_range(interval: Sequence[float | int] | None) -> str:
    """`[90, 99]`, in per cent; empty where there is none."""
    return "" if interval is None else f"[{100 * interval[0]:.0f}, {100 * interval[1]:.0f}]"
