"""Runs that differ only by their seed, as one group; and whether runs can be compared at all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkaloud.config.flat import flat
from thinkaloud.config.load import parse_recipe
from thinkaloud.errors import UserError
from thinkaloud.evaluate.partial_results import digest
from thinkaloud.evaluate.rows import Row
from thinkaloud.evaluate.seeds import summarize_seeds
from thinkaloud.report.run_data import Run, load_run, number
from thinkaloud.report.tables import label
from thinkaloud.storage.unicode import printable

SEED_FOLDER = re.compile(r"seed-\d+")
"""The run directories that `thinkaloud train --seeds` makes in one folder."""
ASIDE = ("seed", "data.seed", "data.dir", "name")
"""Keys of the recipe in which the runs of a group may differ."""
CONTROL = "rewards.control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The runs of one recipe, each with another seed.

    Attributes:
        runs: By name; at least one.
        settings: The recipe of each run by dotted key.
    """

    runs: dict[str, Run]
    settings: dict[str, dict[str, Any]]

    @property
    def first(self) -> Run:
        return next(iter(self.runs.values()))

    @property
    def recipe(self) -> dict[str, Any]:
        """What the runs have in common, by dotted key."""
        return {key: value for key, value in self.settings[next(iter(self.runs))].items() if key not in ASIDE}

    @property
    def control(self) -> str:
        """The control that the runs are, or `none`."""
        return str(self.recipe.get(CONTROL) or "none")

    @property
    def evaluated(self) -> list[Run]:
        """The runs with an evaluation."""
        return [run for run in self.runs.values() if run.stages]

    @property
    def stages(self) -> list[str]:
        """The stages that all evaluated runs have, in order."""
        runs = self.evaluated
        return [name for name in runs[0].stages if all(name in run.stages for run in runs)] if runs else []

    @property
    def last_stage(self) -> str | None:
        return self.stages[-1] if self.stages else None

    def rows(self, stage: str | None) -> list[list[Row]]:
        """The completions of a stage, of each run that has them."""
        return [run.rows[stage] for run in self.runs.values() if stage in run.rows] if stage else []

    @property
    def rows_by_run(self) -> list[dict[str, list[Row]]]:
        """The completions of each run that has some, by stage."""
        return [run.rows for run in self.runs.values() if run.rows]

    def rates(self, stage: str) -> dict[str, Any]:
        """Rates and means of a stage: those of the run's summary, or over the seeds."""
        if len(self.runs) == 1:
            return self.first.stages[stage]
        rows = self.rows(stage)
        return summarize_seeds(rows, self.first.registry) if rows else {"overall": {}, "domains": {}}


def load_runs(paths: Sequence[Path]) -> dict[str, Run]:
    """The runs by name: the folder's name, with as much of its path as needed to be unique.

    A folder that `thinkaloud train --seeds` made stands for the runs in it.

    Raises:
        UserError: Fewer than two runs, the same run twice, or not a run directory.
    """
    paths = [run for path in paths for run in _runs_in(path)]
    if len(paths) < 2:
        raise UserError("expected two or more runs, found one; name another run directory")
    full = [path.absolute().resolve() for path in paths]
    if len(set(full)) < len(full):
        raise UserError("expected different runs, found the same run twice; name each once")
    depth = 1
    while len({path.parts[-depth:] for path in full}) < len(full):
        depth += 1
    return {"/".join(where.parts[-depth:]): load_run(path) for where, path in zip(full, paths, strict=True)}


def _runs_in(path: Path) -> list[Path]:
    if not path.is_dir() or (path / "resolved.json").exists():
        return [path]
    seeds = [one for one in path.iterdir() if SEED_FOLDER.fullmatch(one.name) and (one / "resolved.json").exists()]
    return sorted(seeds, key=lambda one: int(one.name.removeprefix("seed-"))) or [path]


def group_runs(runs: dict[str, Run]) -> dict[str, Group]:
    """The runs in groups, by a name for each; a run without a recipe is a group of its own.

    Runs of one recipe that have the same seed are repetitions, not seeds: they go to different groups.
    """
    settings = _settings(runs)
    members: dict[str, list[str]] = {}
    for name, values in settings.items():
        recipe = json.dumps({key: value for key, value in values.items() if key not in ASIDE}, sort_keys=True)
        repetition = 0
        while any(
            settings[other].get("seed") == values.get("seed") for other in members.get(f"{recipe} {repetition}", ())
        ):
            repetition += 1
        members.setdefault(f"{recipe} {repetition}" if runs[name].resolved else name, []).append(name)
    groups: dict[str, Group] = {}
    for names in members.values():
        group = Group(runs={name: runs[name] for name in names}, settings={name: settings[name] for name in names})
        groups[_unique(_group_name(group), groups)] = group
    return groups


def _settings(runs: dict[str, Run]) -> dict[str, dict[str, Any]]:
    """The recipes by dotted key, with today's defaults for keys that older runs lack, if all can be read so."""
    try:
        return {name: flat(parse_recipe(run.resolved).resolved()) for name, run in runs.items()}
    except UserError:
        return {name: flat(run.resolved) for name, run in runs.items()}


def _group_name(group: Group) -> str:
    names = list(group.runs)
    if len(names) == 1:
        return names[0]
    folders = {run.path.absolute().resolve().parent for run in group.runs.values()}
    of_series = all(SEED_FOLDER.fullmatch(run.path.absolute().resolve().name) for run in group.runs.values())
    name = folders.pop().name if of_series and len(folders) == 1 else names[0]
    return f"{name} ({len(names)} seeds)"


def _unique(name: str, taken: dict[str, Group]) -> str:
    count = 1
    while (found := name if count == 1 else f"{name} #{count}") in taken:
        count += 1
    return found


def check_alike(runs: dict[str, Run]) -> None:
    """Check that the evaluations of the runs, where they have one, answer the same question.

    Raises:
        UserError: Another last stage, split, set of tasks or token limit.
    """
    evaluated = {name: run for name, run in runs.items() if run.stages}
    kinds: tuple[tuple[str, Callable[[Run], str]], ...] = (
        ("stage", lambda run: label(list(run.stages)[-1])),
        ("split", lambda run: str(run.summary.get("split"))),
        ("token limit of an answer", _token_limit),
        ("set of tasks", _task_set),
    )
    for what, of in kinds:
        found: dict[str, str] = {}
        for name, run in evaluated.items():
            if value := of(run):
                found.setdefault(value, name)
        if len(found) > 1:
            shown = ", ".join(f"{printable(value, 40)} ({printable(name, 60)})" for value, name in [*found.items()][:4])
            fix = "seeds of one recipe share it if data.seed is the same; " if what == "set of tasks" else ""
            raise UserError(
                f"expected runs that were evaluated alike, found more than one {what}: {shown}; {fix}compare runs "
                "that share it, or add --allow-different to compare what they have in common"
            )


def _token_limit(run: Run) -> str:
    limit = number(run.resolved, "evaluate", "max_new_tokens") or number(run.resolved, "rollout", "max_new_tokens")
    return "" if limit is None else f"{limit:.0f}"


def _task_set(run: Run) -> str:
    """Names the set of tasks of the last stage; empty where its completions are missing."""
    rows = run.rows.get(list(run.stages)[-1])
    if not rows:
        return ""
    tasks = sorted({row.task_id for row in rows})
    return f"{len(tasks)} tasks, digest {digest(*tasks)[:8]}"
