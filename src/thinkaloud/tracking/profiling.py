"""A trace of a few steps: the timeline of the host and the devices, with the phases of each step by name.

`jax.profiler` writes the files: XProf and TensorBoard's profile plugin open the folder, https://ui.perfetto.dev opens
the `perfetto_trace.json.gz` in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

SKIPPED_STEPS = 1
"""The first step of a session compiles."""
PROFILED_STEPS = 3


class Profiler:
    """Traces the steps after the first of a session. A failure is reported and does not affect training.

    Args:
        folder: Where the trace is written; None for no trace.
        note: Receives one line: where the trace is, or why there is none.
    """

    def __init__(self, folder: Path | None, note: Callable[[str], None] = lambda text: None) -> None:
        self._folder, self._note = folder, note
        self._seen = 0
        self._tracing = False

    @contextmanager
    def step(self, number: int) -> Iterator[None]:
        """Around the 1-based step `number`."""
        if self._folder is not None and self._seen == SKIPPED_STEPS:
            self._begin(self._folder)
        with jax.profiler.StepTraceAnnotation("step", step_num=number):
            yield
        self._seen += 1
        if self._seen == SKIPPED_STEPS + PROFILED_STEPS:
            self.close()

    def close(self) -> None:
        """Write the trace, if one is being recorded. May be called twice."""
        if not self._tracing:
            return
        self._tracing = False
        try:
            jax.profiler.stop_trace()  # type: ignore[no-untyped-call]
        except (OSError, RuntimeError, ValueError) as error:
            self._note(f"warning: cannot write a profile into {self._folder} ({str(error)[:200]})")
            return
        self._note(
            f"profile: {self._folder}; open the perfetto_trace.json.gz in it at https://ui.perfetto.dev, or the folder "
            "with `xprof` (pip install xprof)"
        )

    def _begin(self, folder: Path) -> None:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # Python calls would hide the device events
        try:
            folder.mkdir(parents=True, exist_ok=True)  # first: after a trace that cannot be written JAX starts no other
            jax.profiler.start_trace(folder, create_perfetto_trace=True, profiler_options=options)
        except (OSError, RuntimeError, ValueError) as error:
            self._note(f"warning: cannot start a profile ({str(error)[:200]})")
            return
        self._tracing = True
