"""How XLA compiles in tests and in the programs that they start: fast, because compiling is most of what tests cost.

`tests/walks/test_one_night.py` starts a program with XLA's own settings.
"""

from __future__ import annotations

FAST = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_use_fusion_emitters=false",  # these generate LLVM code by way of MLIR
    "--xla_cpu_parallel_codegen_split_count=1",
)


def xla_flags(num_devices: int) -> str:
    """`XLA_FLAGS` of a process with so many CPU devices."""
    return " ".join((f"--xla_force_host_platform_device_count={num_devices}", *FAST))
