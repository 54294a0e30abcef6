"""Reading the settings of a scheduler, and the error if there is none."""

from __future__ import annotations

import os

import pytest

from thinkaloud.distributed.processes import find_devices
from thinkaloud.errors import UserError

STEP = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[01-02]",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "3",
}


def test_a_step_of_slurm_says_where_its_tasks_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in STEP.items():
        monkeypatch.setenv(name, value)
    address, count, index, local_devices = find_devices()
    assert address.startswith("node01:")
    assert (count, index, local_devices) == (2, 1, [3])


def test_without_a_scheduler_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("SLURM_", "OMPI_", "KUBERNETES_", "TPU_")):
            monkeypatch.delenv(name)
    with pytest.raises(UserError, match="--coordinator auto: expected a step of SLURM"):
        find_devices()
