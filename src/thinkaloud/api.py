"""The commands of `thinkaloud` as functions, for notebooks and scripts.

    from thinkaloud import api

    recipe = api.load_recipe("starter", "grpo.max_steps=20")
    api.build_pool(recipe).counts()
    run = api.train(recipe, "runs/first")
    run.generate("What is 17 + 25?").answer

User errors raise `thinkaloud.errors.UserError` with one line; progress goes to stderr. (The functions are not
attributes of `thinkaloud`, where `train` and `evaluate` are packages.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, overload

from thinkaloud.config import Recipe
from thinkaloud.config import load_recipe as _load_recipe
from thinkaloud.config.toml import recipe_toml
from thinkaloud.data import Pool
from thinkaloud.durations import ends_at
from thinkaloud.errors import UserError
from thinkaloud.evaluate.options import EvalOptions
from thinkaloud.evaluate.run import evaluate_run
from thinkaloud.evaluate.summary import read_summary
from thinkaloud.export import Exported, export_run
from thinkaloud.inference.chat import Chat, Reply, open_chat
from thinkaloud.pipeline.opening import TrainOptions
from thinkaloud.pipeline.seeds import train_series
from thinkaloud.pipeline.train import train as run_training
from thinkaloud.report.build import build_report
from thinkaloud.report.comparison_files import compare_runs
from thinkaloud.report.notebook import Comparison, Evaluation, metrics, run_html
from thinkaloud.session.session import open_session
from thinkaloud.tracking.display import Display

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = [
    "Comparison",
    "Evaluation",
    "Reply",
    "Run",
    "UserError",
    "build_pool",
    "compare",
    "dataset",
    "evaluate",
    "load_recipe",
    "load_run",
    "train",
]


@dataclass(frozen=True)
class Run:
    """A run with one of its models loaded; returned by `load_run` and `train`. A notebook shows its evaluation."""

    path: Path
    stage: str
    chat: Chat = field(repr=False)  # weights, pool and recipe

    @overload
    def generate(
        self, question: str, *, temperature: float = 0.0, max_new_tokens: int | None = None, seed: int = 0
    ) -> Reply: ...

    @overload
    def generate(
        self, question: list[str], *, temperature: float = 0.0, max_new_tokens: int | None = None, seed: int = 0
    ) -> list[Reply]: ...

    def generate(
        self,
        question: str | list[str],
        *,
        temperature: float = 0.0,
        max_new_tokens: int | None = None,
        seed: int = 0,
    ) -> Reply | list[Reply]:
        """Answer one or several questions with the run's own prompt contract.

        Args:
            question: One question, or a list of questions.
            temperature: 0 is greedy.
            max_new_tokens: The token limit of an answer; the recipe's if None.
            seed: Seed of the sampling.

        Returns:
            A `Reply` (`text`, `reasoning`, `answer`, `reason` if the format is invalid, `finish`, `num_tokens`), or for
            a list of questions a list of replies.

        Raises:
            UserError: A question exceeds the model's positions, or the temperature is negative.
        """
        if not isinstance(question, str):
            return [
                self.generate(one, temperature=temperature, max_new_tokens=max_new_tokens, seed=seed)
                for one in question
            ]
        (reply,) = self.chat.ask(question, temperature=temperature, samples=1, max_new_tokens=max_new_tokens, seed=seed)
        return reply

    def export(self, format: str, *, dtype: str | None = None, out: str | Path | None = None) -> Exported:
        """Export this model for other programs; see `thinkaloud export --help`."""
        return export_run(self.path, format, stage=self.stage, dtype=dtype, out=None if out is None else Path(out))

    @property
    def evaluation(self) -> Evaluation | None:
        """The run's own evaluation; None before there is one, such as after a deadline that left no time."""
        path = self.path / "eval" / "summary.json"
        return Evaluation(read_summary(path)) if path.exists() else None

    def metrics(self, stage: str = "grpo") -> DataFrame:
        """`metrics.jsonl` as a pandas frame: one row per step; nested names are joined with dots.

        Args:
            stage: `cold_start` or `grpo`.

        Raises:
            UserError: Another stage.
        """
        return metrics(self.path, stage)

    def _repr_html_(self) -> str:
        return run_html(self.path, self.stage, self.evaluation)


def load_recipe(path: str | Path, *overrides: str) -> Recipe:
    """Read a recipe.

    Args:
        path: A TOML file, or the name of a shipped recipe.
        *overrides: Fields to change, as in `--set`: `"grpo.max_steps=20"`.

    Raises:
        UserError: The file cannot be read, or a field is invalid.
    """
    return _load_recipe(Path(path), overrides)


def build_pool(recipe: Recipe) -> Pool:
    """Build the task pool of a recipe. Fetches the model's tokenizer if it is not in the cache.

    Raises:
        UserError: A source is not available, or a domain is left without tasks.
    """
    with Display() as display, TemporaryDirectory(prefix="thinkaloud-pool-") as place:
        # tasks stay readable after the folder is deleted: their file is mapped into memory
        return open_session(recipe, Path(place) / "pool", note=display.note, progress=display.progress).pool


@overload
def train(
    recipe: Recipe,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    deadline: str | None = None,
    pool: str | Path | None = None,
    track: str | None = None,
    profile: bool = False,
    seeds: None = None,
) -> Run: ...


@overload
def train(
    recipe: Recipe,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    deadline: str | None = None,
    pool: str | Path | None = None,
    track: str | None = None,
    profile: bool = False,
    seeds: int,
) -> Comparison: ...


def train(
    recipe: Recipe,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    deadline: str | None = None,
    pool: str | Path | None = None,
    track: str | None = None,
    profile: bool = False,
    seeds: int | None = None,
) -> Run | Comparison:
    """Run cold start, GRPO, evaluation and report in one run directory, as `thinkaloud train` does.

    Args:
        recipe: From `load_recipe`.
        out: The run directory; `runs/NAME` of the recipe if None.
        resume: Continue the run that is there.
        deadline: Finish by then: a duration such as `8h30m`, or a clock time such as `07:30`; limits the steps.
        pool: A pool that `thinkaloud data` built from this recipe; built here if None.
        track: `wandb` or `trackio`: also send the metrics there.
        profile: Trace three steps of GRPO into `profile/` of the run.
        seeds: Train with so many seeds, 2 or more, into `seed-0`, `seed-1`, ... of `out`, and compare them.

    Returns:
        The run with its trained model; `report.html` is in its directory. With `seeds`, the comparison of the runs.

    Raises:
        UserError: Something the user can fix, such as a run directory that exists.
        StopRequested: The kernel was interrupted. The state is saved; continue with `resume=True`.
    """
    until = ends_at(deadline)
    folder = Path(out) if out is not None else Path("runs") / recipe.name
    options = TrainOptions(
        recipe=recipe,
        recipe_text=recipe_toml(recipe),
        out=folder,
        resume=resume,
        pool=None if pool is None else Path(pool),
        ends_at=until,
        track=track,
        profile=profile,
    )
    with Display() as display:
        if seeds is not None:
            return Comparison(train_series(options, seeds, display))
        run_training(options, display)
    return load_run(folder)


def evaluate(
    run: str | Path | Run,
    *,
    split: str | None = None,
    stages: Sequence[str] = (),
    tasks_per_domain: int | None = None,
) -> Evaluation:
    """Answer held-out tasks greedily; rates by domain with intervals.

    Args:
        run: A run directory, or a loaded run.
        split: `train`, `validation` or `test`; the recipe's if None.
        stages: `base`, `cold_start`, `trained`; all that the run has if empty.
        tasks_per_domain: The recipe's if None.

    Returns:
        The object of `eval/summary.json`, a dictionary; with other settings than the recipe's, of the `summary.json` in
        a folder of its own.

    Raises:
        UserError: No such run, split or stage.
    """
    folder = run.path if isinstance(run, Run) else Path(run)
    options = EvalOptions(split=split, stages=tuple(stages), tasks_per_domain=tasks_per_domain)
    with Display() as display:
        done = evaluate_run(folder, options, allow_contract_mismatch=False, display=display)
    if done.is_own:
        build_report(folder)
    return Evaluation(done.summary)


def compare(*runs: str | Path | Run, out: str | Path | None = None, allow_different: bool = False) -> Comparison:
    """Compare runs, as `thinkaloud compare` does; runs that differ only by their seed are one result.

    Args:
        *runs: Two or more: run directories, folders of `train` with `seeds`, or loaded runs; the reference first.
        out: A folder for compare.html, CSV and LaTeX tables, and learning curves; not written if None.
        allow_different: Compare runs with another stage, split, set of tasks or token limit.

    Raises:
        UserError: Not two runs, or runs that cannot be compared.
    """
    folders = [run.path if isinstance(run, Run) else Path(run) for run in runs]
    return Comparison(compare_runs(folders, None if out is None else Path(out), allow_different=allow_different))


def load_run(path: str | Path, *, stage: str = "trained", allow_contract_mismatch: bool = False) -> Run:
    """Load one of the models of a run.

    Args:
        path: The run directory.
        stage: `base`, `cold_start` or `trained`.
        allow_contract_mismatch: Continue even if the installed tokenizer produces other prompts than in training.

    Raises:
        UserError: No such run or stage.
    """
    folder = Path(path)
    return Run(folder, stage, open_chat(folder, stage=stage, allow_contract_mismatch=allow_contract_mismatch))


def dataset(recipe: Recipe, split: str = "train") -> Any:
    """The tasks of a recipe as a `datasets.Dataset`, for other trainers.

    Args:
        recipe: From `load_recipe`.
        split: `train`, `validation` or `test`.

    Returns:
        One row per task. `prompt` is the bare question as a chat message; a tokenizer with the contract's chat template
        encodes it to the contract's ids. `rendered` is the whole prompt as text. `thinkaloud.rewards.reward_fn` reads
        `domain`, `question`, `answer`, `tests`, `setup` and `choices`.

    Raises:
        UserError: As in `build_pool`.
    """
    from datasets import Dataset

    with Display() as display, TemporaryDirectory(prefix="thinkaloud-pool-") as place:
        session = open_session(recipe, Path(place) / "pool", note=display.note, progress=display.progress)
    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": task.question}],
                "rendered": session.contract.render(task.question),
                "domain": task.domain,
                "question": task.question,
                "answer": task.answer,
                "tests": list(task.tests),
                "setup": task.setup,
                "choices": list(task.choices),
            }
            for task in session.pool.split(split)
        ]
    )
