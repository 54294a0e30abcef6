"""Accelerators that JAX cannot use, found by device files below a root of our own; what a run says it uses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from thinkaloud.distributed import devices
from thinkaloud.distributed.devices import Accelerator, check_accelerator, describe_devices, find_accelerator
from thinkaloud.errors import UserError

GPU, TPU = Accelerator("an NVIDIA GPU", "cuda12"), Accelerator("a TPU", "tpu")
DRIVER = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}.65.06  Sun Jul 27 07:00:00 UTC 2026\nGCC version: 12\n"
OPEN_DRIVER = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\n"


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_machine_without_an_accelerator(tmp_path: Path) -> None:
    google_network_card = {"sys/bus/pci/devices/0/vendor": "0x1ae0\n", "sys/bus/pci/devices/0/device": "0x0042\n"}
    driver_alone = {"proc/driver/nvidia/version": DRIVER.format(580), "dev/null": "", "dev/nvidiactl": ""}
    root = machine(tmp_path, {**google_network_card, **driver_alone})
    assert find_accelerator(root, {"TPU_WORKER_ID": "0", "TPU_SKIP_MDS_QUERY": "1"}) is None


@pytest.mark.parametrize(
    ("files", "extra"),
    [
        ({"dev/nvidia0": ""}, "cuda12"),
        ({"proc/driver/nvidia/gpus/0000:00:04.0/information": ""}, "cuda12"),
        ({"dev/dxg": "", "usr/lib/wsl/lib/libcuda.so.1": ""}, "cuda12"),
        ({"dev/nvidia3": "", "proc/driver/nvidia/version": DRIVER.format(535)}, "cuda12"),
        ({"dev/nvidia3": "", "proc/driver/nvidia/version": DRIVER.format(580)}, "cuda13"),
        ({"dev/nvidia3": "", "proc/driver/nvidia/version": OPEN_DRIVER}, "cuda13"),
    ],
)
def test_a_gpu_and_the_cuda_version_of_its_driver(tmp_path: Path, files: dict[str, str], extra: str) -> None:
    root = machine(tmp_path, files)
    assert find_accelerator(root, {}) == Accelerator("an NVIDIA GPU", extra)
    assert find_accelerator(root, {"CUDA_VISIBLE_DEVICES": "0,1"}) == Accelerator("an NVIDIA GPU", extra)
    assert find_accelerator(root, {"CUDA_VISIBLE_DEVICES": ""}) is None


@pytest.mark.parametrize(
    ("files", "environment"),
    [
        ({"sys/bus/pci/devices/0/vendor": "0x1ae0\n", "sys/bus/pci/devices/0/device": "0x0063\n"}, {}),
        ({"dev/accel0": ""}, {"TPU_ACCELERATOR_TYPE": "v5litepod-8"}),
        ({"dev/vfio/0": ""}, {"TPU_WORKER_ID": "0"}),
    ],
)
def test_a_tpu(tmp_path: Path, files: dict[str, str], environment: dict[str, str]) -> None:
    root = machine(tmp_path, files)
    assert find_accelerator(root, environment) == TPU
    if environment:
        assert find_accelerator(root, {}) is None  # other hardware has such files too


def test_an_accelerator_beside_a_jax_for_the_cpu_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "find_accelerator", lambda root, environment: GPU)
    check_accelerator()  # tests run with JAX_PLATFORMS=cpu: chosen on purpose
    settings: Any = jax.config
    chosen = settings.jax_platforms
    monkeypatch.setattr(Accelerator, "is_installed", False)
    try:
        settings.update("jax_platforms", None)
        with pytest.raises(UserError, match=r"only its CPU backend.*--device cpu") as caught:
            check_accelerator()
        assert f"pip install 'jax[cuda12]=={jax.__version__}'" in str(caught.value)
        monkeypatch.setattr(Accelerator, "is_installed", True)
        with pytest.raises(UserError, match="plugin for it found no device"):
            check_accelerator()
    finally:
        settings.update("jax_platforms", chosen)


def test_the_memory_in_use_on_a_cpu_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "device_memory_bytes", lambda: 15_600_000_000)
    held = np.ones(30_000_000)  # 0.24 GB
    found = re.fullmatch(r"cpu x (\d+), memory (\d+\.\d) GB of 15\.6 GB", devices.device_usage())
    assert found
    assert int(found[1]) == jax.local_device_count()
    assert held.nbytes / 1e9 - 0.05 <= float(found[2]) < 15.6


def test_the_memory_in_use_on_an_accelerator_is_that_of_its_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    class Chip:
        device_kind = "TPU v5e"

        def memory_stats(self) -> dict[str, int]:
            return {"bytes_in_use": 4_200_000_000, "bytes_limit": 16_000_000_000}

    monkeypatch.setattr(jax, "local_devices", lambda: [Chip()] * 8)
    monkeypatch.setattr(jax, "local_device_count", lambda: 8)
    assert devices.device_usage() == "TPU v5e x 8, memory 4.2 GB of 16.0 GB"


def test_a_run_says_what_it_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "device_memory_bytes", lambda: 15_600_000_000)
    line = describe_devices(1, "bfloat16")
    assert line.startswith(f"cpu, 1 of {jax.device_count()} used, 15.6 GB of host memory; weights bfloat16")
    assert "default precision" in line
    with jax.default_matmul_precision("highest"):
        assert "highest precision" in describe_devices(1, "bfloat16")
