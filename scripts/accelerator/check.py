"""Compiles the engine's programs for TPU v5e, H100 and T4 on a machine without them, and checks `budget.toml`.

    python scripts/accelerator/check.py --plugins FOLDER [--install] [TARGET...]

Nothing runs: the figures are the compiler's. Exit code 0: within the budgets, or skipped, with the reason; 1: not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
LIBRARIES = {"tpu": Path("libtpu/libtpu.so"), "cuda": Path("jax_plugins/xla_cuda13/xla_cuda_plugin.so")}
"""A file of each plugin, within its folder."""


def over_budget(figures: dict[str, float], limits: dict[str, float]) -> list[str]:
    """One line for each figure above its limit; a limit on a figure that there is not is a mistake in the file."""
    return [
        f"{name}: {figures[name]:,.4g}, at most {limit:,.4g}" for name, limit in limits.items() if figures[name] > limit
    ]


def install(plugins: Path) -> None:
    """Install the pinned wheels, each kind into a folder of its own; what is there already is kept."""
    pins = (ROOT / "requirements-accelerator.txt").read_text().split()
    for kind in LIBRARIES:
        chosen = [pin for pin in pins if pin.startswith("libtpu") == (kind == "tpu")]
        done = plugins / kind / "installed.txt"
        if done.is_file() and done.read_text().split() == chosen:
            continue
        print(f"installing the compiler for {kind} into {plugins / kind} (once)", file=sys.stderr)
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ]
        command += ["--upgrade", "--target", str(plugins / kind), *chosen]
        if subprocess.run(command, stdin=subprocess.DEVNULL).returncode == 0:
            done.write_text("\n".join(chosen))


def environment(plugins: Path, kind: str) -> dict[str, str]:
    """The variables with which JAX finds a plugin and uses it for compiling alone."""
    folder = plugins / kind
    found = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{folder}"}
    found["XLA_FLAGS"] = ""
    if kind == "tpu":
        return found | {"TPU_LIBRARY_PATH": str(folder / LIBRARIES[kind]), "TPU_SKIP_MDS_QUERY": "1"}
    cuda = folder / "nvidia" / "cu13"
    flags = f"--xla_gpu_cuda_data_dir={cuda} --xla_gpu_autotune_level=0"
    return found | {"PATH": f"{cuda / 'bin'}{os.pathsep}{os.environ['PATH']}", "XLA_FLAGS": flags}


def compiled(plugins: Path, target: str, programs: list[str]) -> Iterator[dict[str, Any]]:
    """The figures of each program, as soon as it is compiled."""
    kind = "tpu" if target == "v5e" else "cuda"
    command = [sys.executable, str(HERE / "programs.py"), target, *programs]
    # libtpu logs what it misses of a TPU machine; shown only where the process fails
    with (
        open(plugins / f"{target}.log", "w+") as log,
        subprocess.Popen(command, env=environment(plugins, kind), stdout=subprocess.PIPE, stderr=log, text=True) as run,
    ):
        assert run.stdout
        yield from map(json.loads, run.stdout)
    if run.returncode:
        sys.exit(f"{target}: exit code {run.returncode}\n{(plugins / f'{target}.log').read_text()[-3000:]}")


def main() -> None:
    """Print the figures, then what is over its budget."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plugins", type=Path, default=ROOT / ".venv-accelerator")
    parser.add_argument("--install", action="store_true", help="install the plugins first, where they are missing")
    parser.add_argument("targets", nargs="*", help="v5e, h100, t4; all when empty")
    arguments = parser.parse_args()
    budgets = tomllib.loads((HERE / "budget.toml").read_text())
    plugins = arguments.plugins.resolve()
    if arguments.install:
        plugins.mkdir(exist_ok=True)
        install(plugins)
    failed, checked = [], 0
    for target in arguments.targets or budgets:
        kind = "tpu" if target == "v5e" else "cuda"
        if not (plugins / kind / LIBRARIES[kind]).is_file():
            print(f"skipped {target}: no compiler for it in {plugins / kind}; `make accelerator` installs it")
            continue
        for figures in compiled(plugins, target, list(budgets[target])):
            name, checked = figures["program"], checked + 1
            print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}), flush=True)
            failed += [f"{target} {name} {line}" for line in over_budget(figures, budgets[target][name])]
    print("\n".join(failed) or f"{checked} programs within their budgets")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
