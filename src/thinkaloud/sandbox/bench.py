"""`thinkaloud bench sandbox`: programs per second, compared with plain `subprocess.run([python, "-c", ...])`.

The baseline is what most reward code does: it runs program and tests in one new interpreter and trusts the exit code.
It contains nothing, and nine kinds of wrong programs pass it. It shows the cost of safety in time.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .pool import Sandbox, available_cores
from .verdict import Job

_PROGRAMS = (
    (
        "def scale_{k}(values, offset):\n    return [value * {k} + offset for value in values]",
        ("assert scale_{k}([1, 2, 3], 0) == [{k}, 2 * {k}, 3 * {k}]", "assert scale_{k}([], 5) == []"),
    ),
    (
        "import math\ndef common_{k}(a, b):\n    return math.gcd(a, b) * {k}",
        (
            "assert common_{k}(12, 18) == 6 * {k}",
            "assert common_{k}(7, 5) == {k}",
            "assert common_{k}(0, 4) == 4 * {k}",
        ),
    ),
    (
        "from collections import Counter\ndef most_{k}(text):\n    return Counter(text + 'z' * {k}).most_common(1)[0]",
        ("assert most_{k}('aab') == ('z', {k})", "assert most_{k}('') == ('z', {k})"),
    ),
    (
        "def is_prime_{k}(n):\n    return n > 1 and all(n % d for d in range(2, int(n ** 0.5) + 1))",
        ("assert is_prime_{k}(97)", "assert not is_prime_{k}(91)", "assert is_prime_{k}(1) == False"),
    ),
)


def small_programs(count: int) -> list[Job]:
    """Small, distinct, correct programs (lists, `math`, `collections`, a loop) with two or three tests."""
    jobs = []
    for k in range(3, count + 3):
        code, tests = _PROGRAMS[k % len(_PROGRAMS)]
        jobs.append(Job(code=code.format(k=k), tests=tuple(test.format(k=k) for test in tests)))
    return jobs


def _summary(count: int, elapsed: float, latencies: Sequence[float]) -> dict[str, Any]:
    ordered = sorted(latencies)
    return {
        "programs": count,
        "programs_per_second": round(count / elapsed, 1),
        "median_latency_ms": round(1e3 * statistics.median(ordered), 2),
        "p95_latency_ms": round(1e3 * ordered[int(0.95 * (len(ordered) - 1))], 2),
    }


def _time_plain(job: Job) -> float:
    source = "\n".join((job.code, *job.tests))
    start = time.monotonic()
    if subprocess.run([sys.executable, "-c", source], capture_output=True, check=False).returncode != 0:
        raise RuntimeError(f"a correct program failed in the bench: {job.code!r}")
    return time.monotonic() - start


def run_bench(num_programs: int = 2000, *, num_plain: int = 200, num_workers: int | None = None) -> dict[str, Any]:
    """Measure the sandbox and the baseline with the same number of concurrent programs.

    Args:
        num_programs: Programs in the sandbox's batch.
        num_plain: Programs for the baseline, which is slower.
        num_workers: Concurrent programs; the number of cores when None.

    Returns:
        JSON-ready: `level`, `workers`, `sandbox` and `subprocess` (each with `programs`, `programs_per_second` over the
        whole batch, `median_latency_ms`, `p95_latency_ms`), and `speedup` (ratio of the rates).

    Raises:
        SandboxUnavailable: This machine cannot contain a program.
        RuntimeError: A program failed, so the figures would be meaningless.
    """
    num_workers = num_workers or available_cores()
    with Sandbox(num_workers=num_workers) as sandbox:
        sandbox.run_batch(small_programs(2 * num_workers))  # starts the workers
        jobs = small_programs(num_programs)
        start = time.monotonic()
        verdicts = sandbox.run_batch(jobs)
        elapsed = time.monotonic() - start
        failed = next((verdict for verdict in verdicts if not verdict.ok), None)
        if failed is not None:
            raise RuntimeError(f"a correct program failed in the bench: {failed}")
        ours = _summary(num_programs, elapsed, [verdict.seconds for verdict in verdicts])
        level = str(sandbox.level)
    with ThreadPoolExecutor(num_workers) as threads:
        start = time.monotonic()
        latencies = list(threads.map(_time_plain, small_programs(num_plain)))
        plain = _summary(num_plain, time.monotonic() - start, latencies)
    return {
        "level": level,
        "workers": num_workers,
        "sandbox": ours,
        "subprocess": plain,
        "speedup": round(ours["programs_per_second"] / plain["programs_per_second"], 2),
    }
