"""What the evaluation found: rates by domain and stage, what changed, and why completions failed."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable

from thinkaloud.domains import in_order
from thinkaloud.evaluate.paired import compare_stages, sentence
from thinkaloud.evaluate.summary import percent
from thinkaloud.records import Status
from thinkaloud.report.run_data import Run, lookup, number
from thinkaloud.report.samples import printable
from thinkaloud.report.tables import (
    Table,
    count_text,
    given_format_text,
    label,
    marks_text,
    mean_text,
    rate_text,
    reward_text,
)
from thinkaloud.report.training import windows


def title(run: Run) -> str:
    """The result in one line, or the run's name where there is none."""
    found = _overall(run, "format_rate")
    if not found:
        return printable(run.name, 80)
    stage, rates = found[-1]
    said = f"{percent(number(rates, 'format_rate'))} of held-out answers keep the format"
    if len(found) == 1:
        return f"{said} ({stage} model)"
    return f"{said}, {percent(number(found[0][1], 'format_rate'))} of the {found[0][0]} model's"


def about(run: Run) -> str:
    """What the run did, for a reader who has not seen one."""
    model = lookup(run.resolved, "model", "source")
    stages = (("supervised", run.cold_start), ("GRPO", run.grpo))
    done = " and ".join(f"{len(rows)} {name}" for name, rows in stages if rows)
    return (
        f"{printable(str(model), 80) if model else 'A language model'} is taught"
        f"{f' in {done} steps' if done else ''} to write <reasoning>…</reasoning>, then <answer>…</answer>. "
        "A text that is just that keeps the format; any other earns nothing."
    )


def _overall(run: Run, key: str) -> list[tuple[str, object]]:
    """The stages that have a rate over all domains, by the name that is shown."""
    found = [(label(name), stage["overall"]) for name, stage in run.stages.items()]
    return [(name, overall) for name, overall in found if number(overall, key) is not None]


def headline(run: Run) -> tuple[str, ...]:
    """What came out, in at most four sentences."""
    sentences = []
    rates = _overall(run, "format_rate")
    if rates:
        parts = ", ".join(f"{name} {rate_text(overall, 'format')}" for name, overall in rates)
        split = run.summary.get("split", "unknown")
        sentences.append(
            f"Format kept on {count_text(rates[-1][1])} held-out tasks ({split} split, [95 % interval]): {parts}."
        )
        exact = [(name, overall) for name, overall in rates if number(overall, "accuracy") is not None]
        if exact:
            parts = ", ".join(f"{name} {rate_text(overall, 'accuracy')}" for name, overall in exact)
            sentences.append(f"Right answers in the verifiable domains: {parts}.")
    else:
        sentences.append("No evaluation was found in this run directory.")
    change = windows(run.grpo, lambda row: number(row, "reward"))
    if change is not None:
        first, last, k = change
        verb = "rose" if last > first else "fell"
        course = f"{verb} from {first:.3f} (first {k}) to {last:.3f} (last {k})"
        if f"{first:.3f}" == f"{last:.3f}":
            course = f"stayed at {first:.3f} (first {k}, last {k})"
        sentences.append(f"Over {len(run.grpo)} GRPO steps the mean sampled reward {course}.")
    else:
        sentences.append("Fewer than two GRPO steps were recorded.")
    asked = number(run.resolved, "grpo", "max_steps")
    if asked is not None and len(run.grpo) < asked:
        sentences.append(f"Of the {asked:.0f} GRPO steps that the recipe asks for, {len(run.grpo)} are recorded.")
    return tuple(sentences)


def results(run: Run) -> tuple[Table, ...]:
    """Format rate, accuracy, mean reward, and cut completions: domain x stage."""
    if not run.stages:
        return ()
    domains = in_order({name for stage in run.stages.values() for name in stage["domains"]})
    header = ("domain", *map(label, run.stages))

    def table(caption: str, show: Callable[[object], str]) -> Table:
        rows = [
            (
                name,
                *(
                    show(stage["overall"] if name == "overall" else stage["domains"].get(name))
                    for stage in run.stages.values()
                ),
            )
            for name in [*domains, "overall"]
        ]
        return Table(caption=caption, header=header, rows=tuple(rows), bold_last=True)

    return (
        table("Format rate [95 % interval, Wilson]", lambda rates: rate_text(rates, "format")),
        table("Accuracy [95 % interval, Wilson]; graded domains have none", lambda rates: rate_text(rates, "accuracy")),
        table("Accuracy of the completions that keep the format [95 % interval, Wilson]", given_format_text),
        table("Mean reward [95 % interval, bootstrap]", reward_text),
        Table(
            caption="Format rate, all domains, by what the format says of text outside the tags",
            header=("text outside the tags", *map(label, run.stages)),
            rows=tuple(
                (
                    name,
                    *(percent(number(stage["overall"], "format_rate_by_rule", rule)) for stage in run.stages.values()),
                )
                for rule, name in (("reject", "rejected"), ("allow", "allowed"))
            ),
        ),
        table("Completions scored (+ those that could not be)", count_text),
    )


def judge(run: Run) -> tuple[Table, ...]:
    """A judge's marks: domain x stage; empty where none was asked."""
    domains = in_order(
        {name for stage in run.stages.values() for name, rates in stage["domains"].items() if lookup(rates, "judge")}
    )
    header = ("domain", *map(label, run.stages))
    tables = []
    for part in ("overall", "answer", "reasoning"):
        rows = [
            (
                name,
                *(
                    marks_text(stage["overall"] if name == "overall" else stage["domains"].get(name), part)
                    for stage in run.stages.values()
                ),
            )
            for name in [*domains, "overall"]
        ]
        caption = f"Judge, {part}: mean mark from 1 to 10 [95 % interval], and of how many completions"
        tables.append(Table(caption=caption, header=header, rows=tuple(rows), bold_last=True))
    return tuple(tables) if domains else ()


def judge_note(run: Run) -> str:
    """Who judged, and how much of it was left undone."""
    name = printable(str(lookup(run.summary, "judge", "model") or "unknown"), 80)
    left = [(label(stage), number(rates, "overall", "judge", "not_judged")) for stage, rates in run.stages.items()]
    undone = ", ".join(f"{count:.0f} ({stage})" for stage, count in left if count)
    return f"Judge: {name}." + (f" Not judged, though they keep the format: {undone}." if undone else "")


def lengths(run: Run) -> tuple[Table, ...]:
    """How long completions are, and how many were cut: domain x stage."""
    domains = in_order({name for stage in run.stages.values() for name in stage["domains"]})
    measures = (
        ("Completions cut at the token limit [95 % interval, Wilson]", "truncated_rate", "truncated_interval", True),
        ("Tokens a completion [95 % interval, bootstrap]", "mean_tokens", "tokens_interval", False),
        ("Words of the reasoning [95 % interval, bootstrap]", "reasoning_words", "reasoning_words_interval", False),
        ("Words of the answer [95 % interval, bootstrap]", "answer_words", "answer_words_interval", False),
    )
    tables = []
    for caption, mean, bounds, rate in measures:
        rows = [
            (
                name,
                *(
                    mean_text(stage["overall"] if name == "overall" else stage["domains"].get(name), mean, bounds, rate)
                    for stage in run.stages.values()
                ),
            )
            for name in [*domains, "overall"]
        ]
        if any(cell != "-" for row in rows for cell in row[1:]):
            header = ("domain", *map(label, run.stages))
            tables.append(Table(caption=caption, header=header, rows=tuple(rows), bold_last=True))
    return tuple(tables)


def changes(run: Run) -> tuple[str, ...]:
    """What the pairs of stages show on the same tasks, in sentences; counted from the rows where no summary has it."""
    found = run.summary.get("comparisons")
    if not isinstance(found, list):
        names = list(run.rows)
        found = [
            comparison
            for first, second in itertools.combinations(names, 2)
            for comparison in compare_stages(first, run.rows[first], second, run.rows[second], run.registry)
        ]
    sentences = []
    for entry in found:
        n, gained, lost, p = (number(entry, key) for key in ("n", "gained", "lost", "p_value"))
        names = [lookup(entry, key) for key in ("before", "after", "measure")]
        if n is None or gained is None or lost is None or p is None or not all(isinstance(name, str) for name in names):
            continue
        before, after, measure = names
        sentences.append(sentence(before, after, measure, n=int(n), gained=int(gained), lost=int(lost), p_value=p))
    return tuple(sentences)


def limits(run: Run) -> tuple[str, ...]:
    """What the numbers do not say."""
    said = ["One run with one seed: the intervals cover the choice of tasks, not a second training."]
    if run.stages:
        others = "" if run.contracts.get("variants") else ", nor were other prompts and other white space"
        said += [
            "The intervals say how far the held-out tasks carry: read them, not the rates alone.",
            f"The evaluation decoded greedily; sampling was not evaluated here{others}.",
            "p-values are not corrected for the number of comparisons.",
        ]
    return (
        *said,
        "Graded domains are scored by form (length, diversity, relevance), which is no judgement of quality.",
    )


def statuses(run: Run) -> Table | None:
    """What became of the evaluated completions: status x stage."""
    counts = {name: _counts(stage, "statuses") for name, stage in run.stages.items()}
    rows = _count_rows(counts, [status.value for status in Status])
    header = ("status", *map(label, counts))
    return Table(caption="Completions by status", header=header, rows=rows) if rows else None


def reasons(run: Run) -> Table | None:
    """Why the format failed: the first rule that was broken x stage."""
    counts = {name: _counts(stage, "reasons") for name, stage in run.stages.items()}
    total = sum(counts.values(), Counter())
    rows = _count_rows(counts, [name for name, _ in total.most_common()])
    header = ("first broken rule", *map(label, counts))
    return Table(caption="Why the format failed", header=header, rows=rows) if rows else None


def reasons_by_domain(run: Run) -> Table | None:
    """Why the format failed in the last stage: the first rule that was broken x domain."""
    if not run.stages:
        return None
    last, stage = list(run.stages.items())[-1]
    counts = {name: _counts({"overall": rates}, "reasons") for name, rates in stage["domains"].items()}
    counts = {name: found for name, found in counts.items() if found}
    total = sum(counts.values(), Counter())
    rows = tuple(
        (name.replace("_", " "), *(str(found[name]) for found in counts.values())) for name, _ in total.most_common()
    )
    header = ("first broken rule", *(name.replace("_", " ") for name in counts))
    caption = f"Why the format failed, by domain ({label(last)})"
    return Table(caption=caption, header=header, rows=rows) if rows else None


def _counts(stage: object, key: str) -> Counter[str]:
    found = lookup(stage, "overall", key)
    if not isinstance(found, dict):
        return Counter()
    return Counter({str(name): int(number(found, name) or 0) for name in found})


def _count_rows(counts: dict[str, Counter[str]], order: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    names = [name for name in order if any(found[name] for found in counts.values())]
    return tuple((name.replace("_", " "), *(str(found[name]) for found in counts.values())) for name in names)
