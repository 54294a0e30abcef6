"""The report of `thinkaloud sandbox check`: the level of this machine, and the probes tried under each layer.

Each layer is measured alone: a worker with only this layer runs the probes that the layer should block. Another layer
may block what one lets through (root passes resource limits, seccomp stops it), so an entry under `failed` can be
normal for a single layer. The level is measured in the full jail.
"""

from __future__ import annotations

from typing import Any

from .inside import LAYERS
from .probes import PROBES, scene
from .selftest import ALL_LAYERS, Containment, measure, run_probes
from .verdict import Level
from .worker import Worker, WorkerFailed


def _layer(name: str, containment: Containment) -> dict[str, Any]:
    nothing: dict[str, Any] = {"available": False, "blocked": [], "failed": []}
    if name in containment.missing:
        return nothing
    try:
        worker = Worker([name] if name in LAYERS else [], containment.wrap if name == "bubblewrap" else ())
    except WorkerFailed:
        return nothing
    try:
        if name in worker.missing:
            return nothing
        with scene() as where:
            said = run_probes(worker, [probe for probe in PROBES if name in probe.alone.split()], where)
    finally:
        worker.close()
    return {
        "available": True,
        "blocked": [probe for probe, text in said.items() if not text],
        "failed": [probe for probe, text in said.items() if text],
    }


def check_report() -> dict[str, Any]:
    """Measure the level of this machine in the full jail, then every layer alone. Takes about two seconds.

    Returns:
        `{"level": "strong" | "standard" | "none", "layers": {name: {"available": bool, "blocked": [probe, ...],
        "failed": [probe, ...]}}}`, JSON-ready. The level is `none` when no worker starts.
    """
    try:
        containment = measure()
    except WorkerFailed:
        nothing: dict[str, Any] = {"available": False, "blocked": [], "failed": []}
        return {"level": str(Level.NONE), "layers": {name: dict(nothing) for name in ALL_LAYERS}}
    return {
        "level": str(containment.level),
        "layers": {name: _layer(name, containment) for name in ALL_LAYERS},
    }


def explain_missing() -> dict[str, str]:
    """The reason why a layer is not available on this machine, by layer."""
    try:
        return dict(measure().missing)
    except WorkerFailed as error:
        return {name: str(error) for name in ALL_LAYERS}
