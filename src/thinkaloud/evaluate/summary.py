"""The summary of an evaluation's rows: `eval/summary.json`, and the table that a command prints.

Completions without a reward (`unscorable`, `sandbox_error`: the scorer failed, not the model) are excluded from every
rate. `n` counts the others and is the denominator of every rate; `masked` counts the excluded ones, so `n + masked`
completions were requested. A completion keeps the format when its status is neither `bad_format` nor `truncated`.
Accuracy is the share of `correct` among the completions of verifiable domains, including those with invalid format.

Intervals are 95 % intervals: Wilson's for rates, bootstrap over tasks for means. Several samples of one task are not
independent trials, so then rates are resampled by task too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from thinkaloud.domains import Registry, in_order
from thinkaloud.errors import UserError
from thinkaloud.evaluate.headline import headline
from thinkaloud.evaluate.paired import compare_stages
from thinkaloud.evaluate.rows import EVALUATED, READING_STAGES, STAGE_LABELS, Row, replace_file
from thinkaloud.evaluate.sampled import by_task, sampled_rates
from thinkaloud.evaluate.statistics import bootstrap_interval, rate_interval, wilson_interval
from thinkaloud.prompt.parse import OutsideText, Parsed, Tags, parse_completion
from thinkaloud.records import SPLITS, Finish, Status

if TYPE_CHECKING:
    from rich.table import Table

RULES: tuple[OutsideText, ...] = ("reject", "allow")
"""The parsing rules for text outside the tags; format rates are reported under both."""


def summarize(rows: Sequence[Row], registry: Registry, *, tags: Tags | None = None) -> dict[str, Any]:
    """Rates and means of one stage, overall and by domain.

    Args:
        rows: The stage's completions, in any order.
        registry: The domains of the run.
        tags: The contract's; the default ones when absent.

    Returns:
        `{"overall": {...}, "domains": {name: {...}}, "sources": {name: {source: {...}}}}`, domains in the usual order;
        `sources` has those with tasks of more than one source. Each object has

        - `n` scored and `masked` other completions; `samples`, the most of any task;
        - `format_rate`, `truncated_rate`, and `accuracy` of verifiable domains, each with its interval;
        - `answer_accuracy`: of the answers read without the tags (see `evaluate.answers`); null in older rows;
        - `chance`: the accuracy of uniform guesses among options, or between yes and no, over the tasks of verifiable
          domains; other tasks count as 0. `majority_baseline`: the accuracy of giving every task of a domain the same
          answer, the most frequent gold answer of these tasks;
        - `accuracy_given_format`: of the completions that keep the format;
        - `consistent_rate`: completions whose reasoning comes to the answer that is given, of those with both parts
          where it can be told;
        - `mean_reward`, `mean_tokens`, and `answer_words`, `reasoning_words` of the completions that parse under
          `allow`, each with its interval;
        - `format_rate_by_rule`: the format rate under each rule for text outside the tags, `reject` and `allow`;
        - `statuses` and `reasons`: counts over all completions;
        - where a judge was asked, `judge`: `n` judged, `not_judged` (no marks received), and the mean
          marks `reasoning`, `answer`, `overall` from 1 to 10, each with its interval;
        - with several samples per task, `pass_at` and `majority` (see `sampled_rates`).

        Rates and means are null where there is nothing to count.

    Raises:
        UserError: A row's domain is unknown.
    """
    ordered = in_order({row.domain for row in rows})
    return {
        "overall": _rates(rows, registry, tags),
        "domains": {name: _rates([row for row in rows if row.domain == name], registry, tags) for name in ordered},
        "sources": _by_source(rows, ordered, registry, tags),
    }


def _by_source(
    rows: Sequence[Row], domains: Sequence[str], registry: Registry, tags: Tags | None
) -> dict[str, dict[str, Any]]:
    """By domain the rates of each of its sources, by name; domains with one source are left out."""
    found = {}
    for name in domains:
        own = [row for row in rows if row.domain == name]
        sources = sorted({row.source for row in own})
        if len(sources) > 1:
            found[name] = {
                source: _rates([row for row in own if row.source == source], registry, tags) for source in sources
            }
    return found


def _rates(rows: Sequence[Row], registry: Registry, tags: Tags | None) -> dict[str, Any]:
    scored = [row for row in rows if not row.masked]
    checked = [row for row in scored if registry.is_verifiable(row.domain)]
    kept = [row for row in checked if row.keeps_format]
    read = [row for row in checked if row.answer_correct is not None]
    strict, lenient = (
        [
            parse_completion(row.text, truncated=row.finish == Finish.LENGTH, outside_text=rule, tags=tags)
            for row in scored
        ]
        for rule in RULES
    )
    found = [(row, parsed) for row, parsed in zip(scored, lenient, strict=True) if parsed.valid]
    words = {
        part: {id(row): len((getattr(parsed, part) or "").split()) for row, parsed in found}
        for part in ("answer", "reasoning")
    }
    parted = [row for row, _ in found]
    consistent = _consistency(found, registry)
    samples = max((len(group) for group in by_task(scored)), default=0)
    return {
        "n": len(scored),
        "masked": len(rows) - len(scored),
        "samples": samples,
        **_rate("format", scored, lambda row: row.keeps_format),
        **_rate("accuracy", checked, lambda row: row.status == Status.CORRECT),
        **_rate("answer_accuracy", read, lambda row: bool(row.answer_correct)),
        **_guesses(checked),
        **_rate("accuracy_given_format", kept, lambda row: row.status == Status.CORRECT),
        **_rate("consistent", [row for row in parted if id(row) in consistent], lambda row: consistent[id(row)]),
        **_mean("mean_reward", "reward", scored, lambda row: row.reward),
        **_rate("truncated", scored, lambda row: row.finish == Finish.LENGTH),
        **_mean("mean_tokens", "tokens", scored, lambda row: row.num_tokens),
        **_mean("answer_words", "answer_words", parted, lambda row: words["answer"][id(row)]),
        **_mean("reasoning_words", "reasoning_words", parted, lambda row: words["reasoning"][id(row)]),
        "format_rate_by_rule": {
            rule: sum(parsed.valid for parsed in parses) / len(scored) if scored else None
            for rule, parses in zip(RULES, (strict, lenient), strict=True)
        },
        "statuses": dict(Counter(row.status for row in rows).most_common()),
        "reasons": dict(Counter(row.reason for row in rows if row.reason).most_common()),
        **(sampled_rates(scored, registry, tags) if samples > 1 else {}),
        **_judge(rows),
    }


def _guesses(rows: Sequence[Row]) -> dict[str, float | None]:
    """What answers without any knowledge of the question would reach; null where guessing is not possible."""
    tasks = list({row.task_id: row for row in rows}.values())
    constants: dict[str, Counter[str]] = {}
    for task in tasks:
        if task.constant:
            constants.setdefault(task.domain, Counter())[task.constant] += 1
    hits = sum(counts.most_common(1)[0][1] for counts in constants.values())
    return {
        "chance": fmean(task.chance or 0.0 for task in tasks) if any(task.chance for task in tasks) else None,
        "majority_baseline": hits / len(tasks) if constants else None,
    }


def _consistency(found: Sequence[tuple[Row, Parsed]], registry: Registry) -> dict[int, bool]:
    """By the row's identity, whether its reasoning comes to its answer; rows where it cannot be told are left out."""
    told = {}
    for row, parsed in found:
        agrees = registry.domain(row.domain).agrees
        agreement = agrees(row.question, parsed.reasoning or "", parsed.answer or "") if agrees else None
        if agreement is not None:
            told[id(row)] = agreement
    return told


def _judge(rows: Sequence[Row]) -> dict[str, Any]:
    """The mean marks of the judge, if one was asked."""
    asked = [row for row in rows if row.judge]
    found = [row for row in asked if row.judge_overall is not None]
    if not asked:
        return {}
    means: dict[str, Any] = {"n": len(found), "not_judged": len(asked) - len(found)}
    for part in ("reasoning", "answer", "overall"):
        means |= _mean(part, part, found, lambda row, field=f"judge_{part}": getattr(row, field))  # type: ignore[misc]
    return {"judge": means}


def _rate(name: str, rows: Sequence[Row], holds: Callable[[Row], bool]) -> dict[str, Any]:
    """A rate and its interval; for `format` the interval is [0, 1] where nothing was scored."""
    key = name if "accuracy" in name else f"{name}_rate"
    if not rows:
        return {key: None, f"{name}_interval": [0.0, 1.0] if name == "format" else None}
    hits, groups = sum(map(holds, rows)), by_task(rows)
    if len(groups) == len(rows):
        interval = wilson_interval(hits, len(rows))
    else:
        interval = rate_interval([fmean(map(holds, group)) for group in groups])
    return {key: hits / len(rows), f"{name}_interval": list(interval)}


def _mean(key: str, name: str, rows: Sequence[Row], value: Callable[[Row], float | int]) -> dict[str, Any]:
    if not rows:
        return {key: None, f"{name}_interval": None}
    by_tasks = [fmean(map(value, group)) for group in by_task(rows)]
    return {key: sum(map(value, rows)) / len(rows), f"{name}_interval": list(bootstrap_interval(by_tasks))}


def in_stage_order(names: Collection[str]) -> list[str]:
    """The names of results in the order of every table; checkpoints and other models come last."""
    return [name for name in EVALUATED if name in names] + [name for name in names if name not in EVALUATED]


def build_summary(
    split: str, stages: Mapping[str, Sequence[Row]], registry: Registry, *, tags: Tags | None = None
) -> dict[str, Any]:
    """The object of `eval/summary.json`: a summary of each stage, a comparison of each pair of models, and
    the main result (`headline`)."""
    names = in_stage_order(stages)
    models = [name for name in names if name not in READING_STAGES.values()]
    pairs = [(first, second) for i, first in enumerate(models) for second in models[i + 1 :]]
    return {
        "split": split,
        "stages": {name: summarize(stages[name], registry, tags=tags) for name in names},
        "comparisons": [
            comparison
            for first, second in pairs
            for comparison in compare_stages(first, stages[first], second, stages[second], registry)
        ],
        "headline": headline(stages, registry),
    }


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the summary as JSON, atomically.

    Raises:
        UserError: The folder cannot be written.
    """
    text = json.dumps(summary, indent=2, ensure_ascii=True, allow_nan=False) + "\n"
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="ascii"))


def read_summary(path: Path) -> dict[str, Any]:
    """Read `eval/summary.json`.

    Raises:
        UserError: The file is missing, or is not a summary.
    """
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); run `thinkaloud eval` on the run first") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); run `thinkaloud eval` again") from error
    if not isinstance(summary, dict) or not isinstance(summary.get("stages"), dict):
        raise UserError(f"{path} holds no evaluation: expected an object with 'stages'; run `thinkaloud eval` again")
    return summary


def summary_table(summary: Mapping[str, Any]) -> Table:
    """The summary as a table of domain x stage, at most 80 columns wide."""
    from rich import box
    from rich.table import Table

    split = summary.get("split", "?")
    table = Table(
        title=f"{'Held-out tasks' if split in SPLITS[1:] else 'Tasks'} ({split}), {_decoding(summary)}",
        box=box.SIMPLE_HEAD,
        padding=0,
        show_edge=False,
        pad_edge=False,
    )
    for heading in ("domain", "stage"):
        table.add_column(heading, no_wrap=True)
    for heading in ("n", "format [95 %]", "strict", "answer", "reward", "cut"):
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
    notes = ["accuracy: strict (the format is required); answer (also read without tags)"]
    if any(rates.get("masked") for stage in stages.values() for rates in stage["domains"].values()):
        notes.append("n+k: k more completions could not be scored and are excluded")
    table.caption = "\n".join(notes)
    return table


def _decoding(summary: Mapping[str, Any]) -> str:
    temperature, samples = summary.get("temperature") or 0.0, summary.get("samples") or 1
    return f"{samples} samples per task at temperature {temperature:g}" if temperature else "greedy decoding"


def _cells(rates: Mapping[str, Any]) -> list[str]:
    """The numbers of one row of the table."""
    reward = rates.get("mean_reward")
    n, masked = rates.get("n", 0), rates.get("masked", 0)
    return [
        f"{n}+{masked}" if masked else str(n),
        f"{percent(rates.get('format_rate'))} {percent_range(rates.get('format_interval'))}".strip(),
        percent(rates.get("accuracy")),
        percent(rates.get("answer_accuracy")),
        "-" if reward is None else f"{reward:.3f}",
        percent(rates.get("truncated_rate")),
    ]


def percent(rate: float | int | None) -> str:
    """`97 %`; `99.8 %` where rounding would wrongly give 0 or 100; `-` for None."""
    if rate is None:
        return "-"
    whole = f"{100 * rate:.0f}"
    exact = rate in (0.0, 1.0) or whole not in ("0", "100")
    return f"{whole} %" if exact else f"{100 * rate:.1f} %"


def percent_range(interval: Sequence[float | int] | None) -> str:
    """`[90, 99]`, in per cent; empty for None."""
    return "" if interval is None else f"[{100 * interval[0]:.0f}, {100 * interval[1]:.0f}]"
