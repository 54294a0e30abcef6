"""The report: a run directory -> figures/, writeup.md, report.html, from the files of the run alone.

    run_data.py             reads the files of a run, and lists what is missing
    evaluation.py           results of the evaluation: headline, rates, changes, failures
    training.py             results of training: cold start, first and last steps of GRPO
    contract_experiment.py  results of the contract experiment: rates by prompt, differences in token ids
    run_details.py          settings, data, health, prompt, machine, wall time
    tables.py               tables of texts, and the formats of numbers in them
    samples.py              completions of the same tasks by each stage, made safe to display
    charts.py               what a chart is; curves of metrics by step
    bars.py                 bar charts: accuracy and format rate by domain, prompts, mixture
    mixture_chart.py        the chart of `thinkaloud data`
    figures.py              charts -> figures/*.png and *.svg, and inline SVG for the page
    sections.py             the variables that both templates use
    writeup.py              writeup.md   (writeup.md.j2)
    page.py                 report.html  (page.html.j2, page.css.j2, page.js.j2)
    build.py                all of it in one call
    groups.py               runs that differ only by their seed, as groups
    comparison.py           differences between groups: recipes, results, gains above controls
    comparison_page.py      the tables, sentences and the page of `thinkaloud compare`
    comparison_files.py     its CSV and LaTeX tables and learning curves
    notebook.py             the same results as a notebook shows them, and as pandas frames
    serve.py                the live page of `thinkaloud watch`

Nothing here imports JAX or uses the network; neither does the page.
"""

from thinkaloud.report.build import build_report

__all__ = ["build_report"]
