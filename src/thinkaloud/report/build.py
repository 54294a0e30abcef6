"""Builds all files of a report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from thinkaloud.errors import UserError
from thinkaloud.report.figures import save_figures
from thinkaloud.report.page import page
from thinkaloud.report.run_data import load_run
from thinkaloud.report.writeup import writeup
from thinkaloud.storage.atomic import write_text
from thinkaloud.storage.unicode import printable, well_formed


def build_report(run_dir: Path, notify: Callable[[str], None] = lambda _: None) -> Path:
    """Write figures/, writeup.md and report.html of a run directory, from its files alone.

    The report of an incomplete run lists what is missing. Each file is written atomically; the same files give the same
    report.

    Args:
        run_dir: A directory that `thinkaloud train` wrote.
        notify: Called with a line for each file that is missing, damaged or altered.

    Returns:
        The path of report.html.

    Raises:
        UserError: It is not a run directory, or cannot be written.
    """
    run = load_run(run_dir)
    for line in run.missing:
        notify(printable(line, 300))
    try:
        figures = save_figures(run)
        write_text(run_dir / "writeup.md", well_formed(writeup(run, figures)))
        write_text(run_dir / "report.html", well_formed(page(run)))
    except OSError as error:
        raise UserError(
            f"cannot write the report into {run_dir} ({error.strerror or error}); free some space there, or copy the "
            "run to a writable folder"
        ) from error
    return run_dir / "report.html"
