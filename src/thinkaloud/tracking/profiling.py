"""A trace of a few steps, for the eye: what the host and the devices did when, by phase.

The files are those of `jax.profiler`: XProf and TensorBoard's profile plugin open the folder, https://ui.perfetto.dev
opens the `perfetto_trace.json.gz` in it.
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
    """Traces the steps after the first of a session. One that fails is said, and costs nothing else.

    Args:
        folder: Where the trace goes; None for no trace.
        note: Told where it lies.
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
        """Write what there is. May be called twice."""
        if not self._tracing:
            return
        self._tracing = False
        try:
            jax.profiler.stop_trace()  # type: ignore[no-untyped-call]
        except (OSError, RuntimeError, ValueError) as error:
            self._note(f"warning: no profile could be written into {self._folder} ({str(error)[:200]})")
            return
        self._note(
            f"profile: {self._folder}; open the perfetto_trace.json.gz in it at https://ui.perfetto.dev, or the folder "
            "with `xprof` (pip install xprof)"
        )

    def _begin(self, folder: Path) -> None:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # every Python call would hide what is looked for
        try:
            folder.mkdir(parents=True, exist_ok=True)  # now: after a trace that went nowhere JAX begins no other
            jax.profiler.start_trace(folder, create_perfetto_trace=True, profiler_options=options)
        except (OSError, RuntimeError, ValueError) as error:
            self._note(f"warning: no profile is taken ({str(error)[:200]})")
            return
        self._tracing = True
