"""The report: a run directory -> figures/, writeup.md, report.html, from the files of the run alone.

    rundir.py     reads what there is, and says what is missing
    outcome.py    what the evaluation found: headline, rates, changes, failures
    course.py     how training went: cold start, GRPO's first steps beside its last
    matching.py   the contract experiment: rates by prompt, where token ids part ways
    setting.py    the recipe's main settings, the machine, wall time
    tables.py     a table of texts, and how numbers read in it
    samples.py    the same tasks answered by each stage; hostile text made showable
    charts.py     how one chart is drawn
    figures.py    charts -> figures/*.png and *.svg, and inline SVG for the page
    writeup.py    writeup.md   (writeup.md.j2)
    page.py       report.html  (page.html.j2, page.css.j2, page.js.j2)
    build.py      all of it in one call

Nothing here loads JAX, and nothing needs a network: neither the making nor the reading of the page.
"""

from thinkaloud.report.build import build_report

__all__ = ["build_report"]
