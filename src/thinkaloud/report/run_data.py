"""Reads a run directory tolerantly, so that an interrupted run has a report too.

A file that is missing or cannot be read is left out and named in `Run.missing`, as are damaged lines and an altered
prompt contract; numbers that are not finite count as missing. Of two rows for one step (a resumed run) the later one
counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from thinkaloud.config.load import parse_recipe
from thinkaloud.domains import BUILTIN, Registry, registry_of
from thinkaloud.errors import UserError
from thinkaloud.evaluate.mismatches import MATCHED
from thinkaloud.evaluate.rows import EVALUATED, READING_STAGES, Row, read_plan, read_rows
from thinkaloud.evaluate.summary import build_summary, in_stage_order, read_summary
from thinkaloud.prompt.contract import is_unaltered
from thinkaloud.storage.json_lines import InvalidLine, parse_object

T = TypeVar("T")
Metrics = dict[str, Any]
"""One row of metrics.jsonl."""

_LARGEST = 1e15
_MAX_BYTES = 64 * 1024 * 1024
"""Text files of a run are smaller than this; larger ones are not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The content of the files of one run; missing ones are empty."""

    path: Path
    recipe: str = ""
    resolved: dict[str, Any] = field(default_factory=dict)
    contract: dict[str, Any] = field(default_factory=dict)
    cold_start: tuple[Metrics, ...] = ()
    grpo: tuple[Metrics, ...] = ()
    summary: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    pool: dict[str, Any] = field(default_factory=dict)
    contracts: dict[str, Any] = field(default_factory=dict)
    health: tuple[dict[str, Any], ...] = ()
    missing: tuple[str, ...] = ()
    registry: Registry = BUILTIN

    @property
    def name(self) -> str:
        """The recipe's name, or the folder's."""
        name = self.resolved.get("name")
        return name if isinstance(name, str) and name else self.path.name

    @property
    def stages(self) -> dict[str, dict[str, Any]]:
        """The evaluated stages, in order."""
        stages: dict[str, dict[str, Any]] = self.summary.get("stages", {})
        return stages

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """The evaluated stages without the readings of the base, which do not ask for the format alike."""
        return {name: stage for name, stage in self.stages.items() if name not in READING_STAGES.values()}


def load_run(path: Path) -> Run:
    """Read a run directory.

    Raises:
        UserError: There is no such directory, or it contains neither a recipe nor metrics nor an evaluation.
    """
    if not path.is_dir():
        raise UserError(f"expected a run directory, found none at {path}; name one that `thinkaloud train` wrote")
    missing: list[str] = []

    def optional(name: str, read: Callable[[Path], T]) -> T | None:
        if not (path / name).exists():
            missing.append(f"{name} is missing")
            return None
        try:
            return read(path / name)
        except (OSError, ValueError, UserError, RecursionError) as error:
            missing.append(f"{name} cannot be read ({' '.join(str(error).split())[:200]})")
            return None

    def extra(name: str, read: Callable[[Path], T]) -> T | None:
        """A file that not every run has."""
        return optional(name, read) if (path / name).exists() else None

    recipe = optional("recipe.toml", _text) or ""
    resolved = optional("resolved.json", _object) or {}
    registry = optional("resolved.json", lambda _: _registry(resolved)) or BUILTIN if resolved else BUILTIN
    contract = optional("contract.json", _object) or {}
    if contract and not is_unaltered(contract):
        missing.append("contract.json was altered: its texts do not give its fingerprint")
    lines, damaged = optional("metrics.jsonl", _lines) or ([], ())
    metrics = _by_stage(lines)
    if damaged:
        missing.append(_damage("metrics.jsonl", damaged))
    environment = optional("environment.json", _object) or {}
    evaluated = [name for name in EVALUATED if (path / "eval" / f"{name}.parquet").exists()]
    rows = {name: optional(f"eval/{name}.parquet", read_rows) or [] for name in evaluated}
    rows = {name: found for name, found in rows.items() if found}
    summary = optional("eval/summary.json", _summary) or {}
    if not summary and rows:
        try:
            summary = build_summary(str(lookup(resolved, "evaluate", "split") or "unknown"), rows, registry)
            missing[-1] += "; its rates were computed from the completions in eval/"
        except UserError as error:
            missing.append(f"the completions in eval/ cannot be summarized ({error})")
    if not (recipe or resolved or metrics or summary):
        raise UserError(
            f"expected a run directory, found no readable recipe.toml, metrics.jsonl or eval/ in {path}; name one that "
            "`thinkaloud train` wrote"
        )
    missing += [f"eval/{name}.parquet is missing" for name in summary.get("stages", {}) if name not in rows]
    pool = extra("pool/pool.json", _object) or {}
    contracts = extra("eval/contracts/summary.json", _contracts) or {}
    if contracts and _asked_another_model(path / "eval", str(contracts.get("stage"))):
        contracts = {}
        missing.append(
            "eval/contracts is left out: it asked an earlier model; `thinkaloud eval --contracts` asks the present one"
        )
    health, damaged = extra("health.jsonl", _lines) or ([], ())
    if damaged:
        missing.append(_damage("health.jsonl", damaged))
    return Run(
        path=path,
        registry=registry,
        recipe=recipe,
        resolved=resolved,
        contract=contract,
        cold_start=tuple(metrics.get("cold_start", {}).values()),
        grpo=tuple(metrics.get("grpo", {}).values()),
        summary=summary,
        rows=rows,
        environment=environment,
        pool=pool,
        contracts=contracts,
        health=tuple(health),
        missing=tuple(missing),
    )


def lookup(record: object, *keys: str) -> Any:
    """The value under nested `keys`; None if a level is missing or not an object."""
    for key in keys:
        if not isinstance(record, Mapping):
            return None
        record = record.get(key)
    return record


def number(record: object, *keys: str) -> float | None:
    """The number under nested `keys`; None for anything else, or where it is not finite or too large to draw."""
    value = lookup(record, *keys)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if abs(found) <= _LARGEST else None


def _registry(resolved: dict[str, Any]) -> Registry:
    """The domains of the run; the built-in ones if its recipe is of another version."""
    try:
        return registry_of(parse_recipe(resolved))
    except UserError:
        return BUILTIN


def _text(path: Path) -> str:
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"larger than {_MAX_BYTES} bytes")
    return path.read_text(encoding="utf-8", errors="replace")


def _object(path: Path) -> dict[str, Any]:
    value = json.loads(_text(path))
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, found {type(value).__name__}")
    return value


def _summary(path: Path) -> dict[str, Any]:
    """The summary with its stages in order.

    Raises:
        ValueError: A stage is incomplete.
    """
    summary = read_summary(path)
    for name, stage in summary["stages"].items():
        domains = lookup(stage, "domains")
        if not isinstance(domains, dict) or not all(
            isinstance(r, dict) for r in (stage.get("overall"), *domains.values())
        ):
            raise ValueError(f"stage {name!r} lacks overall or domains")
    return {**summary, "stages": {name: summary["stages"][name] for name in in_stage_order(summary["stages"])}}


def _contracts(path: Path) -> dict[str, Any]:
    """The summary of the contract experiment.

    Raises:
        ValueError: It is incomplete.
    """
    found = _object(path)
    entries = found.get("variants")
    if not isinstance(entries, list) or not all(isinstance(lookup(entry, "name"), str) for entry in entries):
        raise ValueError("no list of named variants")
    return found


def _asked_another_model(folder: Path, stage: str) -> bool:
    """Whether the contract experiment had another adapter than the evaluation of its stage; unknown counts as no."""
    plans = [read_plan(folder / name) for name in (f"{stage}.parquet", f"contracts/{MATCHED}.parquet")]
    adapters = {plan.get("adapter") for plan in plans if isinstance(plan, dict)}
    return len(adapters) > 1


def _lines(path: Path) -> tuple[list[dict[str, Any]], tuple[int, ...]]:
    """The objects of a JSON lines file, and the numbers of the lines that hold none."""
    found, damaged = [], []
    for line_number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(parse_object(line, _MAX_BYTES))
        except InvalidLine:
            damaged.append(line_number)
    return found, tuple(damaged)


def _damage(name: str, lines: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, lines[:5])) + (" ..." if len(lines) > 5 else "")
    what = "line" if len(lines) == 1 else "lines"
    return f"{name}: {len(lines)} damaged or incomplete {what} left out (line {shown})"


def _by_stage(rows: list[Metrics]) -> dict[str, dict[int, Metrics]]:
    """Rows by stage and step, in step order."""
    stages: dict[str, dict[int, Metrics]] = {}
    for row in rows:
        step = number(row, "step")
        if step is not None and isinstance(row.get("stage"), str):
            stages.setdefault(row["stage"], {})[int(step)] = row
    return {stage: dict(sorted(found.items())) for stage, found in stages.items()}
