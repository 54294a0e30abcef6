"""The results of the evaluation: rates by domain and stage, changes between stages, and reasons of failures."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from thinkaloud.evaluate.headline import BASES
from thinkaloud.evaluate.headline import sentence as main_sentence
from thinkaloud.evaluate.paired import compare_stages, sentence
from thinkaloud.evaluate.rows import STAGE_LABELS
from thinkaloud.evaluate.summary import percent
from thinkaloud.records import Status
from thinkaloud.report.run_data import Run, lookup, number
from thinkaloud.report.tables import (
    Table,
    by_domain,
    count_text,
    given_format_text,
    has_values,
    interval,
    label,
    marks_text,
    mean_text,
    rate_text,
    reward_text,
)
from thinkaloud.report.training import metric, windows
from thinkaloud.storage.unicode import printable


def title(run: Run) -> str:
    """The result in one line, or the run's name if there is none."""
    main = lookup(run.summary, "headline")
    base, trained = number(main, "base"), number(main, "trained")
    if base is not None and trained is not None:
        after = label(str(lookup(main, "after")))
        return f"Tasks solved: {percent(base)} (base at its best) to {percent(trained)} ({printable(after, 40)})"
    found = _overall(run, "format_rate")
    if not found:
        return printable(run.name, 80)
    stage, rates = found[-1]
    first, first_rates = found[0]
    if len(found) == 1:
        return f"Format rate on held-out tasks: {percent(number(rates, 'format_rate'))} ({stage} model)"
    before, after = (percent(number(own, "format_rate")) for own in (first_rates, rates))
    return f"Format rate on held-out tasks: {before} ({first}) to {after} ({stage})"


def result(run: Run) -> str:
    """The main result in one sentence, with its interval and p-value; empty if there is none."""
    found = lookup(run.summary, "headline")
    stages = [lookup(found, key) for key in ("before", "after")]
    numbers = {key: number(found, key) for key in ("n", "base", "trained", "difference", "gained", "lost", "p_value")}
    bounds = interval(found, "interval")
    if None in numbers.values() or bounds is None or not all(stage in STAGE_LABELS for stage in stages):
        return ""
    whole = {key: int(numbers[key] or 0) for key in ("n", "gained", "lost")}
    cut = {name: share for name in BASES if (share := number(found, "truncated", name)) is not None}
    return main_sentence(str(stages[0]), str(stages[1]), {**numbers, **whole, "interval": bounds, "truncated": cut})


def about(run: Run) -> str:
    """A short description of the run for new readers."""
    model = lookup(run.resolved, "model", "source")
    stages = (("supervised", run.cold_start), ("GRPO", run.grpo))
    done = " and ".join(f"{len(rows)} {name}" for name, rows in stages if rows)
    return (
        f"{printable(str(model), 80) if model else 'A language model'} was trained"
        f"{f' in {done} steps' if done else ''} to write <reasoning>…</reasoning>, then <answer>…</answer>. "
        "Only output in exactly this format earns reward."
    )


def _overall(run: Run, key: str) -> list[tuple[str, object]]:
    """The overall rates of the stages that have a value for `key`, with the stages' labels."""
    found = {name: stage["overall"] for name, stage in _labelled(run.models).items()}
    return [(name, overall) for name, overall in found.items() if number(overall, key) is not None]


def headline(run: Run) -> tuple[str, ...]:
    """The main results, in at most four sentences."""
    sentences = []
    rates = _overall(run, "format_rate")
    if rates:
        parts = ", ".join(f"{name} {rate_text(overall, 'format')}" for name, overall in rates)
        split = run.summary.get("split", "unknown")
        sentences.append(
            f"Format rate on {count_text(rates[-1][1])} held-out tasks ({split} split, [95 % interval]): {parts}."
        )
        exact = [(name, overall) for name, overall in rates if number(overall, "accuracy") is not None]
        if exact:
            parts = ", ".join(f"{name} {rate_text(overall, 'accuracy')}" for name, overall in exact)
            sentences.append(f"Strict accuracy in the verifiable domains (format required): {parts}.")
    else:
        sentences.append("No evaluation was found in this run directory.")
    change = windows(run.grpo, metric("reward"))
    if change is not None:
        first, last, k = change
        verb = "rose" if last > first else "fell"
        trend = f"{verb} from {first:.3f} (first {k}) to {last:.3f} (last {k})"
        if f"{first:.3f}" == f"{last:.3f}":
            trend = f"stayed at {first:.3f} (first {k}, last {k})"
        sentences.append(f"Over {len(run.grpo)} GRPO steps the mean sampled reward {trend}.")
    else:
        sentences.append("Fewer than two GRPO steps were recorded.")
    limit = number(run.resolved, "grpo", "max_steps")
    if limit is not None and len(run.grpo) < limit:
        sentences.append(f"{len(run.grpo)} of the recipe's {limit:.0f} GRPO steps are recorded.")
    return tuple(sentences)


def results(run: Run) -> tuple[Table, ...]:
    """Format rate, accuracy, mean reward and counts: domain x stage."""
    if not run.stages:
        return ()
    stages = _labelled(run.models)
    return (
        *filter(has_values, [_answer_accuracy(run)]),
        by_domain(stages, "Format rate [95 % interval, Wilson]", partial(rate_text, name="format")),
        by_domain(
            stages, "Strict accuracy, verifiable domains [95 % interval, Wilson]", partial(rate_text, name="accuracy")
        ),
        by_domain(stages, "Accuracy given format [95 % interval, Wilson]", given_format_text),
        *filter(
            has_values,
            [
                by_domain(
                    stages,
                    "Reasoning that comes to the given answer, where it can be told [95 % interval, Wilson]",
                    partial(mean_text, key="consistent_rate", bounds="consistent_interval", rate=True),
                )
            ],
        ),
        by_domain(stages, "Mean reward [95 % interval, bootstrap]", reward_text),
        Table(
            caption="Format rate of all domains, by the rule for text outside the tags",
            header=("text outside the tags", *stages),
            rows=tuple(
                (
                    name,
                    *(percent(number(stage["overall"], "format_rate_by_rule", rule)) for stage in run.models.values()),
                )
                for rule, name in (("reject", "rejected"), ("allow", "allowed"))
            ),
        ),
        by_domain(stages, "Completions scored (+ masked)", count_text),
        *by_source(run),
    )


def by_source(run: Run) -> tuple[Table, ...]:
    """Accuracy where a domain has tasks of several sources: source x stage; empty if none has."""
    stages = _labelled(run.stages)
    found = [lookup(stage, "sources") for stage in stages.values()]
    by_name = [pair for sources in found if isinstance(sources, dict) for pair in sources.items()]
    names = dict.fromkeys((domain, source) for domain, own in by_name if isinstance(own, dict) for source in own)
    rows = tuple(
        (
            f"{domain.replace('_', ' ')}: {printable(source, 60)}",
            *(_accuracy_of(lookup(stage, "sources", domain, source)) for stage in stages.values()),
        )
        for domain, source in names
    )
    caption = "Accuracy by source of the tasks [95 % interval, Wilson], completions"
    table = Table(caption=caption, header=("domain: source", *stages), rows=rows)
    return (table,) if has_values(table) else ()


def _accuracy_of(rates: object) -> str:
    text = rate_text(rates, "accuracy")
    return text if text == "-" else f"{text}, {count_text(rates)}"


def _answer_accuracy(run: Run) -> Table:
    """Answer accuracy of every stage and reading, beside what guessing would reach."""
    show = partial(mean_text, key="answer_accuracy", bounds="answer_accuracy_interval", rate=True)
    caption = "Answer accuracy: format not required [95 % interval, Wilson]"
    table = by_domain(_labelled(run.stages), caption, show)
    tasks = list(run.models.values())[-1] if run.models else {"overall": {}, "domains": {}}
    guesses = [
        by_domain({name: tasks}, "", lambda rates, key=key: percent(number(rates, key)))  # type: ignore[misc]
        for name, key in (("chance", "chance"), ("most frequent gold", "majority_baseline"))
    ]
    known = [{row[0]: row[1] for row in guess.rows} for guess in guesses]
    return replace(
        table,
        header=(*table.header, *(guess.header[1] for guess in guesses)),
        rows=tuple((*row, *(own.get(row[0], "-") for own in known)) for row in table.rows if set(row[1:]) != {"-"}),
    )


def _labelled(stages: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Stages by their displayed names."""
    return {label(name): stage for name, stage in stages.items()}


def judge(run: Run) -> tuple[Table, ...]:
    """A judge's marks: domain x stage; empty if there was no judge."""
    domains = {
        name for stage in run.stages.values() for name, rates in stage["domains"].items() if lookup(rates, "judge")
    }
    tables = [
        by_domain(
            _labelled(run.models),
            f"Judge, {part}: mean mark from 1 to 10 [95 % interval], number of completions",
            partial(marks_text, part=part),
            domains,
        )
        for part in ("overall", "answer", "reasoning")
    ]
    return tuple(tables) if domains else ()


def judge_note(run: Run) -> str:
    """The name of the judge, and the number of completions without marks."""
    name = printable(str(lookup(run.summary, "judge", "model") or "unknown"), 80)
    left = [(label(stage), number(rates, "overall", "judge", "not_judged")) for stage, rates in run.stages.items()]
    missing = ", ".join(f"{count:.0f} ({stage})" for stage, count in left if count)
    return f"Judge: {name}." + (f" Valid format but no marks: {missing}." if missing else "")


def lengths(run: Run) -> tuple[Table, ...]:
    """Lengths of completions, and the share of truncated ones, that of the base's readings too: domain x stage."""
    measures = (
        ("Truncated completions [95 % interval, Wilson]", "truncated_rate", "truncated_interval", True),
        ("Tokens per completion [95 % interval, bootstrap]", "mean_tokens", "tokens_interval", False),
        ("Words of the reasoning [95 % interval, bootstrap]", "reasoning_words", "reasoning_words_interval", False),
        ("Words of the answer [95 % interval, bootstrap]", "answer_words", "answer_words_interval", False),
    )
    tables = [
        by_domain(
            _labelled(run.stages if rate else run.models),
            caption,
            partial(mean_text, key=mean, bounds=bounds, rate=rate),
        )
        for caption, mean, bounds, rate in measures
    ]
    return tuple(filter(has_values, tables))


def changes(run: Run) -> tuple[str, ...]:
    """Paired comparisons of the stages, in sentences; computed from the rows if the summary has none."""
    found = run.summary.get("comparisons")
    if not isinstance(found, list):
        names = [name for name in run.rows if name in run.models]
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
    """The limits of the results, in sentences."""
    sentences = ["One run with one seed: the intervals cover the choice of tasks, not a second training."]
    if run.stages:
        others = "" if run.contracts.get("variants") else ", and neither were other prompts for the trained model"
        sentences += [
            "The number of held-out tasks is limited: compare intervals, not only rates.",
            f"Decoding was greedy; sampling was not evaluated{others}.",
            "p-values are not corrected for the number of comparisons.",
        ]
    return (
        *sentences,
        "Heuristic domains are scored by form (length, diversity, relevance), not by quality.",
    )


def statuses(run: Run) -> Table | None:
    """The evaluated completions by status: status x stage."""
    counts = {name: _counts(stage, "statuses") for name, stage in run.models.items()}
    rows = _count_rows(counts, [status.value for status in Status])
    header = ("status", *map(label, counts))
    return Table(caption="Completions by status", header=header, rows=rows) if rows else None


def reasons(run: Run) -> Table | None:
    """Invalid formats: first broken rule x stage."""
    counts = {name: _counts(stage, "reasons") for name, stage in run.models.items()}
    total = sum(counts.values(), Counter())
    rows = _count_rows(counts, [name for name, _ in total.most_common()])
    header = ("first broken rule", *map(label, counts))
    return Table(caption="Invalid formats by rule", header=header, rows=rows) if rows else None


def reasons_by_domain(run: Run) -> Table | None:
    """Invalid formats of the last stage: first broken rule x domain."""
    if not run.models:
        return None
    last, stage = list(run.models.items())[-1]
    counts = {name: _counts({"overall": rates}, "reasons") for name, rates in stage["domains"].items()}
    counts = {name: found for name, found in counts.items() if found}
    total = sum(counts.values(), Counter())
    rows = tuple(
        (name.replace("_", " "), *(str(found[name]) for found in counts.values())) for name, _ in total.most_common()
    )
    header = ("first broken rule", *(name.replace("_", " ") for name in counts))
    caption = f"Invalid formats by rule and domain ({label(last)})"
    return Table(caption=caption, header=header, rows=rows) if rows else None


def _counts(stage: object, key: str) -> Counter[str]:
    found = lookup(stage, "overall", key)
    if not isinstance(found, dict):
        return Counter()
    return Counter({str(name): int(number(found, name) or 0) for name in found})


def _count_rows(counts: dict[str, Counter[str]], order: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    names = [name for name in order if any(found[name] for found in counts.values())]
    return tuple((name.replace("_", " "), *(str(found[name]) for found in counts.values())) for name in names)
