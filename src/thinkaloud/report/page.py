"""report.html: one self-contained file that needs no network.

Model output is hostile: Jinja escapes every text, and the page's `Content-Security-Policy` allows only its one script,
by hash. The page is readable without the script, which filters samples and updates a live page.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

from thinkaloud.report import bars, charts, training
from thinkaloud.report.charts import Chart
from thinkaloud.report.figures import inline_svg
from thinkaloud.report.run_data import Run
from thinkaloud.report.samples import first_look, samples, statuses_of
from thinkaloud.report.sections import sections
from thinkaloud.report.tables import label
from thinkaloud.storage.unicode import printable

if TYPE_CHECKING:
    from jinja2 import Environment

_PER_DOMAIN = 12
_MAX_CHARS = 4_000
_FIRST_LOOK_CHARS = 700


def environment() -> Environment:
    """The templates and filters of the pages, with automatic escaping."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    templates = Environment(
        loader=PackageLoader("thinkaloud.report", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )

    def figure(chart: Chart, key: str) -> Markup:
        return Markup(inline_svg(chart, key))

    def marked(text: str) -> Markup:
        """Escaped text with the contract's tags in bold."""
        escaped = str(Markup.escape(text))
        return Markup(re.sub(r"&lt;/?(?:reasoning|answer)&gt;", r"<b>\g<0></b>", escaped))

    templates.filters.update(figure=figure, marked=marked, tight=tight)
    return templates


def page(run: Run, *, live_seconds: int = 0) -> str:
    """The whole page. With `live_seconds`, the page reloads its data at this interval."""
    from markupsafe import Markup

    templates = environment()
    script = templates.get_template("page.js.j2").render()
    shown = samples(run, per_domain=_PER_DOMAIN, max_chars=_MAX_CHARS)
    return templates.get_template("page.html.j2").render(
        **sections(run),
        live=live_seconds,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=Markup(templates.get_template("page.css.j2").render()),
        name=printable(run.name, 80),
        accuracy=bars.accuracy(run),
        compliance=bars.compliance(run),
        first_look=first_look(run, max_chars=_FIRST_LOOK_CHARS),
        matching_chart=bars.prompt_matching(run),
        every_step=training.steps(run),
        curves=charts.training_curves(run),
        domain_curves=charts.domain_curves(run),
        mixture=bars.mixture(run),
        cold_curves=charts.cold_start_curves(run),
        samples=shown,
        per_domain=_PER_DOMAIN,
        sample_domains=tuple(dict.fromkeys(sample.domain for sample in shown)),
        sample_stages=tuple((stage, label(stage)) for stage in run.rows),
        sample_statuses=statuses_of(shown),
    )


def tight(text: str) -> str:
    """`text` with no-break spaces in `97 %`, `[90, 99]` and `p = 0.01`."""
    return re.sub(
        r"(?<=\d) (?=%)|(?<=\[)95 %|(?<=\d,) (?=[\d.]+\])|(?<=\bp) (?=[<=])|(?<=p [<=]) (?=\d)",
        lambda m: m[0].replace(" ", "\u00a0"),
        text,
    )
