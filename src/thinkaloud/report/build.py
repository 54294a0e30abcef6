"""All of a report in one call."""

from __future__ import annotations

from pathlib import Path

from thinkaloud.errors import UserError
from thinkaloud.report.figures import save_figures
from thinkaloud.report.page import page
from thinkaloud.report.run_data import load_run
from thinkaloud.report.writeup import writeup
from thinkaloud.storage.atomic import write_text
from thinkaloud.storage.unicode import well_formed


def build_report(run_dir: Path) -> Path:
    """Make figures/, writeup.md and report.html of a run directory, from its files alone.

    An interrupted run gets a report too, which says what is missing. Each file is written whole or not at all; the
    same files give the same report.

    Args:
        run_dir: what `thinkaloud train` wrote.

    Returns:
        The path of report.html.

    Raises:
        UserError: it is no run directory, or cannot be written.
    """
    run = load_run(run_dir)
    try:
        figures = save_figures(run)
        write_text(run_dir / "writeup.md", well_formed(writeup(run, figures)))
        write_text(run_dir / "report.html", well_formed(page(run)))
    except OSError as error:
        raise UserError(
            f"cannot write the report into {run_dir} ({error.strerror or error}); free some space there, or copy the "
            "run to a folder that can be written"
        ) from error
    return run_dir / "report.html"
