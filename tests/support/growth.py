"""How processor time grows with the input: a ratio, so that a slow or busy machine does not fail a test."""

import time
from collections.abc import Callable
from functools import partial

TIMES_AS_LONG = 16  # the longer text against the shorter
LIMIT = 64  # times the processor time: 16 where it grows linearly, 256 where it grows with the square
SHORTEST = 1e-3  # seconds: below it a measurement is mostly noise; at the limit, the longer text took 64 ms


def processor_seconds(work: Callable[[], object]) -> float:
    """The least processor time of this process over three calls, in seconds; once is enough where it takes a second."""
    least = float("inf")
    for _ in range(3):
        start = time.process_time()
        work()
        least = min(least, time.process_time() - start)
        if least > 1.0:
            break
    return least


def assert_linear(work: Callable[[str], object], piece: str, *, size: int) -> None:
    """Fail if `work` takes far more than 16 times as long on `size` characters of repeated `piece` as on a 16th."""
    texts = [(piece * (length // len(piece) + 1))[:length] for length in (size // TIMES_AS_LONG, size)]
    short, long = (processor_seconds(partial(work, text)) for text in texts)
    assert long <= LIMIT * max(short, SHORTEST), f"{long:.3f} s for {size} characters, {short:.4f} s for a 16th of them"
