"""`thinkaloud train --seeds N`: one recipe with several seeds, one after the other, and their comparison.

Run i is in OUT/seed-i and has the recipe's seed + i. All have the same tasks: the data seed is fixed, and later runs
link the first one's pool. The base is evaluated once. OUT/seeds.json names the runs that have finished; a resumed
series skips them.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from thinkaloud.config import Recipe
from thinkaloud.config.load import change_recipe
from thinkaloud.durations import duration, session_clock
from thinkaloud.errors import UserError
from thinkaloud.pipeline.opening import TrainOptions
from thinkaloud.pipeline.resume import check_recipe
from thinkaloud.pipeline.stopping import Stop
from thinkaloud.pipeline.train import train
from thinkaloud.report.comparison_files import compare_runs
from thinkaloud.storage.atomic import write_json
from thinkaloud.storage.run_directory import RunDir, check_new
from thinkaloud.tracking.display import Display

FILE = "seeds.json"


def seed_recipes(recipe: Recipe, count: int) -> list[Recipe]:
    """The recipe with `count` consecutive seeds, all with the same tasks.

    Raises:
        UserError: Fewer than two seeds, or a seed is too large.
    """
    if count < 2:
        raise UserError(f"expected two or more seeds, found {count}; a single run has seed = N in its recipe")
    return [
        change_recipe(recipe, [f"seed={recipe.seed + index}", f"data.seed={recipe.data_seed}"])
        for index in range(count)
    ]


def train_series(options: TrainOptions, count: int, display: Display) -> dict[str, Any]:
    """Train with `count` seeds and compare them.

    Returns:
        `run` (the folder of the series), `runs` (the run directories) and `report` (compare.html), JSON-ready, with the
        comparison (see `report.comparison.compare_groups`). Runs that cannot be compared have `report` None and no
        comparison.

    Raises:
        UserError, StopRequested: See `train_seeds`.
    """
    runs = train_seeds(options, count, display)
    found = compare_seeds(runs, options.out, display)
    report = str(options.out / "compare.html") if found else None
    return {"run": str(options.out), "runs": list(map(str, runs)), "report": report, **(found or {})}


def train_seeds(options: TrainOptions, count: int, display: Display) -> list[Path]:
    """Run a recipe with `count` seeds into `options.out`, or continue the series that is there.

    A deadline gives each run an equal share of the time that is left when it starts.

    Returns:
        The run directories; fewer than `count` if the deadline left no time.

    Raises:
        UserError: See `pipeline.train`.
        StopRequested: A signal asked to stop; the run's state is saved, and no further one is started.
    """
    out = options.out
    if not options.resume:
        check_new(out)
    recipes = {out / f"seed-{index}": own for index, own in enumerate(seed_recipes(options.recipe, count))}
    first, finished = out / "seed-0", _finished(out)
    todo = []
    for path, recipe in recipes.items():
        if path.name in finished and not check_recipe(RunDir(path), recipe, options.allowed_changes):
            display.note(f"{path} is finished")
        else:
            todo.append(path)
    with Stop(notify=display.note) as stop:
        for position, path in enumerate(todo):
            stop.check()
            own = replace(options, recipe=recipes[path], out=path)
            if path != first:
                own = replace(own, pool=first / "pool", base_from=first, resume=RunDir(path).is_begun())
            if options.ends_at is not None:
                share = (options.ends_at - session_clock()) / (len(todo) - position)
                if share <= 0:
                    display.note(f"deadline: no time left for {path}; continue with --resume")
                    break
                own = replace(own, ends_at=session_clock() + share)
                display.note(f"deadline: {duration(share)} for {path}")
            display.note(f"seed {own.recipe.seed}: {path}")
            train(own, display, stop)
            finished = [*finished, path.name]
            write_json(out / FILE, {"finished": list(dict.fromkeys(finished))})
            gc.collect()  # the weights of this run, before the next one loads its own
    return [path for path in recipes if RunDir(path).is_begun()]


def compare_seeds(paths: Sequence[Path], out: Path, display: Display) -> dict[str, Any] | None:
    """Write the comparison of a series into its folder; returns it, or None if its runs cannot be compared (noted)."""
    try:
        return compare_runs(paths, out)
    except UserError as error:
        display.note(f"the seeds were not compared: {error}")
        return None


def _finished(out: Path) -> list[str]:
    """The names of the finished runs."""
    if not (out / FILE).exists():
        return []
    names = RunDir(out).read_json(FILE).get("finished")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
