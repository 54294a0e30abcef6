"""How processor time grows with the input: a ratio, so that a slow or busy machine does not fail a test."""

import gc
import time
from collections.abc import Callable

TIMES_AS_LONG = 16  # the longer text against the shorter
LIMIT = 64  # times the processor time: 16 where it grows linearly, 256 where it grows with the square
SHORTEST = 1e-3  # seconds: below it a measurement is mostly noise; at the limit, the longer text took 64 ms
ATTEMPTS = 4  # a neighbor on the machine slows one measurement, not every one


def processor_seconds(work: Callable[[], object]) -> float:
    """The processor time of this process for one call, in seconds, without garbage collection.

    A full collection walks every object of the process: in a test process that has loaded JAX it costs up to a second,
    in whichever call happens to trigger it.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        start = time.process_time()
        work()
        return time.process_time() - start
    finally:
        if collecting:
            gc.enable()


def assert_linear(work: Callable[[str], object], piece: str, *, size: int) -> None:
    """Fail if `work` takes far more than 16 times as long on `size` characters of repeated `piece` as on a 16th.

    The least of several measurements is compared, and measuring ends as soon as they pass.
    """
    shorter, longer = ((piece * (length // len(piece) + 1))[:length] for length in (size // TIMES_AS_LONG, size))
    short = min(processor_seconds(lambda: work(shorter)) for _ in range(3))
    long = float("inf")
    for _ in range(ATTEMPTS):
        long = min(long, processor_seconds(lambda: work(longer)))
        if long <= LIMIT * max(short, SHORTEST):
            return
    raise AssertionError(f"{long:.3f} s for {size} characters, {short:.4f} s for a 16th of them")
