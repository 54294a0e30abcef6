"""The contract experiment: one trained model under its own prompt and under slightly different prompts.

This tool started from such a result: white space alone reduced format compliance from 94 % to 55 %. The experiment
measures it for any run, on the same tasks, with intervals and paired tests.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from thinkaloud.domains import Registry, registry_of
from thinkaloud.errors import UserError, nearest
from thinkaloud.evaluate.mismatches import MATCHED, MISMATCHES, description, first_difference, variants
from thinkaloud.evaluate.options import EvalOptions
from thinkaloud.evaluate.paired import compare, sentence
from thinkaloud.evaluate.partial_results import clear
from thinkaloud.evaluate.rows import Row
from thinkaloud.evaluate.run import evaluate_into, fitting
from thinkaloud.evaluate.summary import summarize
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.session.device import announce_devices
from thinkaloud.session.run import available_stages, open_run, stage_adapter
from thinkaloud.session.scorer import open_scorer
from thinkaloud.storage.atomic import write_text
from thinkaloud.storage.run_directory import check_writable
from thinkaloud.tracking.display import Display

FOLDER = "contracts"
"""Below eval/."""


def contract_experiment(
    path: Path,
    options: EvalOptions,
    *,
    names: Sequence[str] = (),
    allow_contract_mismatch: bool = False,
    display: Display,
) -> dict[str, Any]:
    """Answer the same tasks under the matched contract and under mismatches; rewrites eval/contracts/.

    Args:
        path: The run.
        options: Which tasks, and which stage (one; the newest when absent).
        names: Only these mismatches; all when empty.
        allow_contract_mismatch: As in `evaluate_run`.
        display: Progress.

    Returns:
        `split`, `stage`, `n`, and `variants`: in order, the matched one first, each with `name`, `description`, the
        rates of `summarize` (`format_rate` and so on), `first_difference` of the token ids, and `against_matched`: the
        counts of `compare` and a sentence.

    Raises:
        UserError: A variant is unknown, more than one stage is given, or the run has no such stage yet.
    """
    options.check()
    known = [mismatch.name for mismatch in MISMATCHES]
    for name in names:
        if name not in known:
            raise UserError(f"unknown prompt variant {name!r}{nearest(name, known)}")
    if options.judge:
        raise UserError("--contracts measures the format, not the judge's marks; remove --judge")
    if len(options.stages) > 1 or options.readings or options.checkpoint or options.model or options.temperature:
        raise UserError("--contracts takes one --stage and decodes greedily; remove the other options")
    session, run = open_run(path, allow_contract_mismatch=allow_contract_mismatch)
    announce_devices(session.recipe, display.note)
    stage = options.stages[0] if options.stages else available_stages(run)[-1]
    _, tasks = options.tasks(session)
    prompts = variants(session.contract)
    prompts = {name: prompt for name, prompt in prompts.items() if not names or name in (MATCHED, *names)}
    folder = run.evaluation / FOLDER
    check_writable(path)
    rows: dict[str, list[Row]] = {}
    with open_scorer(session.recipe, session.contract) as (score, _):
        policy = session.load_policy()
        adapter = stage_adapter(session, run, policy, stage)
        tasks = fitting(policy, tasks, options.decoding(session), display)
        folder.mkdir(parents=True, exist_ok=True)
        for name, prompt in prompts.items():
            asked = replace(policy, contract=prompt)
            rows[name] = evaluate_into(
                folder, name, session, asked, adapter, tasks, score, display, options.decoding(session)
            )
    for stale in folder.glob("*.parquet"):
        if stale.stem not in rows:
            stale.unlink()
    registry = registry_of(session.recipe)
    summary = {
        "split": options.source(session),
        "stage": stage,
        "n": len(tasks),
        "variants": [_variant(name, prompts, rows, registry) for name in prompts],
    }
    write_text(folder / "summary.json", json.dumps(summary, indent=2, allow_nan=False) + "\n")
    clear(folder)
    return summary


def _variant(
    name: str, prompts: dict[str, PromptContract], rows: dict[str, list[Row]], registry: Registry
) -> dict[str, Any]:
    rates = summarize(rows[name], registry, tags=prompts[MATCHED].tags)
    entry = {
        "name": name,
        "description": description(name),
        **rates["overall"],
        "domains": rates["domains"],
        "first_difference": first_difference(prompts[MATCHED], prompts[name]),
    }
    if name != MATCHED:
        counts = compare(rows[MATCHED], rows[name])
        entry["against_matched"] = {**counts, "sentence": sentence(MATCHED, name.replace("_", " "), "format", **counts)}
    return entry
