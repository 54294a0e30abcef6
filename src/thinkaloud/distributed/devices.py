"""The devices of this process, and accelerators of the machine that the installed JAX cannot use."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from thinkaloud.errors import UserError

TPU_PCI_DEVICES = ("0x0027", "0x0056", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076")
"""PCI devices of Google's TPUs, as in `jax._src.hardware_utils`; the vendor has other devices too."""

TPU_VARIABLES = ("TPU_ACCELERATOR_TYPE", "TPU_WORKER_ID", "TPU_CHIPS_PER_HOST_BOUNDS", "TPU_PROCESS_BOUNDS")
"""Set on TPU machines, also in containers that hide the PCI bus."""

FIRST_CUDA13_DRIVER = 580


@dataclass(frozen=True, slots=True)
class Accelerator:
    """An accelerator of this machine: its name for messages, and JAX's extra that supports it."""

    name: str
    extra: str

    @property
    def command(self) -> str:
        """Installs the extra for the installed JAX."""
        return f"pip install 'jax[{self.extra}]=={jax.__version__}'"

    @property
    def is_installed(self) -> bool:
        """Whether JAX has a plugin for it."""
        names = ("libtpu",) if self.extra == "tpu" else ("jax_cuda12_plugin", "jax_cuda13_plugin")
        return any(importlib.util.find_spec(name) is not None for name in names)


def find_accelerator(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> Accelerator | None:
    """The machine's NVIDIA GPU or TPU, from device files alone; None if there is none, or if it is hidden.

    Args:
        root: Where `dev`, `proc` and `sys` are.
        environment: `CUDA_VISIBLE_DEVICES` can hide all GPUs.
    """
    hidden = environment.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    wsl = (root / "dev/dxg").exists() and (root / "usr/lib/wsl/lib/libcuda.so.1").exists()
    if not hidden and (wsl or _any(root, "dev/nvidia[0-9]*", "proc/driver/nvidia/gpus/*")):
        driver = re.search(r"Kernel Module.*?\s(\d+)\.\d", _text(root / "proc/driver/nvidia/version"))
        new = driver is not None and int(driver[1]) >= FIRST_CUDA13_DRIVER
        return Accelerator("an NVIDIA GPU", "cuda13" if new else "cuda12")
    on_bus = any(
        _text(vendor) == "0x1ae0" and _text(vendor.with_name("device")) in TPU_PCI_DEVICES
        for vendor in root.glob("sys/bus/pci/devices/*/vendor")
    )
    named = any(environment.get(name) for name in TPU_VARIABLES)
    if on_bus or (named and _any(root, "dev/accel[0-9]*", "dev/vfio/[0-9]*")):
        return Accelerator("a TPU", "tpu")
    return None


def unused_accelerator(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> Accelerator | None:
    """An accelerator beside a JAX that runs on the CPU; None if JAX was told to use the CPU (`JAX_PLATFORMS`)."""
    settings: Any = jax.config
    if jax.default_backend() != "cpu" or str(settings.jax_platforms or "").startswith("cpu"):
        return None
    return find_accelerator(root, environment)


def unused_message(found: Accelerator) -> str:
    """What is wrong, as one line without the fix."""
    if found.is_installed:
        return f"{found.name} is present, but JAX's plugin for it found no device (driver, CUDA_VISIBLE_DEVICES?)"
    return f"{found.name} is present, but the installed JAX has only its CPU backend"


def fix_message(found: Accelerator) -> str:
    """How to use it, and how to do without it."""
    return f"run {found.command}, or continue on the CPU with --device cpu (JAX_PLATFORMS=cpu)"


def check_accelerator() -> None:
    """Raises UserError, with the command that fixes it, if an accelerator is present and JAX runs on the CPU."""
    if found := unused_accelerator():
        raise UserError(f"{unused_message(found)}; {fix_message(found)}")


def describe_devices(used: int, dtype: str) -> str:
    """Device kind, number, memory, dtype, precision.

    Args:
        used: Devices that the run uses, of all processes.
        dtype: Of the weights.
    """
    settings: Any = jax.config
    kind, memory = jax.local_devices()[0].device_kind, device_memory_bytes()
    size = "unknown memory" if memory is None else f"{memory / 1e9:.1f} GB"
    size = f"{size} of host memory" if jax.default_backend() == "cpu" else f"{size} each"
    processes = f" in {jax.process_count()} processes" if jax.process_count() > 1 else ""
    return (
        f"{kind}, {used} of {jax.device_count()} used{processes}, {size}; weights {dtype}, products "
        f"{settings.jax_default_matmul_precision or 'default'} precision, adapters and log-probabilities float32"
    )


def device_usage() -> str:
    """Device kind and number, and memory in use of that of a device (on a CPU, by this process, of the machine's)."""
    first = jax.local_devices()[0]
    stats = first.memory_stats() or {}
    sizes = [stats.get("bytes_in_use", _resident_bytes()), device_memory_bytes()]
    memory = " of ".join(f"{size / 1e9:.1f} GB" for size in sizes if size is not None)
    return f"{first.device_kind} x {jax.local_device_count()}, memory {memory or 'unknown'}"


def _resident_bytes() -> int | None:
    """Memory of this process; None where there is no /proc."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def device_limit() -> int | None:
    """The device's limit on the bytes of arrays; None if it has none, as on a CPU."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return int(stats["bytes_limit"]) if "bytes_limit" in stats else None


_least_memory: int | None = None


def limit_memory(known: Sequence[int | None]) -> None:
    """Let `device_memory_bytes` return the least of these, the memory of each process of a run.

    What is sized by memory (mesh, batches, micro-batches) must be the same in all processes.
    """
    global _least_memory
    _least_memory = min((each for each in known if each is not None), default=None)


def device_memory_bytes() -> int | None:
    """Total memory of the device (on a CPU, of the machine) in bytes; None if it is not known.

    In several processes, that of the one with the least.
    """
    if _least_memory is not None:
        return _least_memory
    limit = device_limit()
    if limit is not None:
        return limit
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def _any(root: Path, *patterns: str) -> bool:
    return any(next(root.glob(pattern), None) is not None for pattern in patterns)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
