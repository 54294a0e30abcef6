"""README.md of an export: description, results, usage, licences."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

import thinkaloud
from thinkaloud.data.generators import LICENSE as GENERATED_LICENSE
from thinkaloud.data.starter import LICENSE as STARTER_LICENSE
from thinkaloud.data.store import read_index
from thinkaloud.errors import UserError
from thinkaloud.evaluate.rows import STAGE_LABELS
from thinkaloud.evaluate.summary import percent, percent_range, read_summary
from thinkaloud.export.bundle import Bundle
from thinkaloud.fetch.known import stock_name
from thinkaloud.prompt.chat_templates import QUESTION_SLOT

LICENSE_IDS = {"apache-2.0": "apache-2.0", "mit": "mit", "gemma": "gemma"}
"""The hub's identifiers by the beginning of a licence's text; any other licence is `other`."""


def stock_base(bundle: Bundle) -> str:
    """The base's name for other programs: its hub id where it has one, else the recipe's name for it."""
    return stock_name(bundle.recipe.model.source)


def data_licenses(bundle: Bundle) -> dict[str, str]:
    """Licences of the training data by source, from pool.json ({licence: {source: tasks}}), else from the recipe."""
    try:
        recorded = read_index(bundle.run.pool).get("licenses")
    except UserError:
        recorded = None
    if isinstance(recorded, Mapping) and recorded:
        by_source: dict[str, list[str]] = {}
        for license, sources in recorded.items():
            for source in sources:
                by_source.setdefault(str(source), []).append(str(license) or "not stated")
        return {source: ", ".join(licenses) for source, licenses in by_source.items()}
    data = bundle.recipe.data
    found = {
        name: STARTER_LICENSE if name == "starter" else source.license or "see the source"
        for name, source in data.sources.items()
    }
    return found | {f"generated {name}": GENERATED_LICENSE for name, count in data.generated.items() if count}


def model_card(bundle: Bundle, format: str, dtype: str) -> str:
    """The model card: Markdown with the hub's front matter.

    Args:
        format: `hf`, `peft`, `gguf` or `tunix`.
        dtype: Of the stored weights.
    """
    license_text = bundle.files.license
    start = license_text.lower()
    contract = bundle.contract
    return _template().render(
        name=bundle.recipe.name,
        stage=STAGE_LABELS[bundle.stage],
        format=format,
        dtype=dtype,
        base=_shown(stock_base(bundle)),
        adapter=_shown(bundle.recipe.model.adapter) if bundle.recipe.model.adapter else None,
        quantised=bundle.files.kind == "gguf",
        license=license_text,
        license_id=next((found for begin, found in LICENSE_IDS.items() if start.startswith(begin)), "other"),
        data=data_licenses(bundle),
        results=_results(bundle),
        contract=contract,
        stop=" or ".join(f"`{token}`" for token in contract.stop),
        user_text=contract.user_text(QUESTION_SLOT),
        limit=bundle.recipe.evaluate.max_new_tokens or bundle.recipe.rollout.max_new_tokens,
        version=thinkaloud.__version__,
    )


def _shown(base: str) -> str:
    """A hub id unchanged; a local path reduced to its last part."""
    return Path(base).name if Path(base).expanduser().exists() else base


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown from trusted text
    )
    return environment.from_string((Path(__file__).parent / "card.md.j2").read_text(encoding="utf-8"))


def _results(bundle: Bundle) -> dict[str, Any] | None:
    """The evaluation's rows of the base and of this stage, and its headline; None where the run has none."""
    try:
        summary = read_summary(bundle.run.evaluation / "summary.json")
    except UserError:
        return None
    stages = {name: found for name, found in summary["stages"].items() if name in ("base", bundle.stage)}
    names = list(dict.fromkeys(name for found in stages.values() for name in found["domains"]))
    rows = []
    for name in [*names, "overall"]:
        for stage, found in stages.items():
            rates = found["overall"] if name == "overall" else found["domains"].get(name)
            if rates is not None:
                reward = rates.get("mean_reward")
                rows.append(
                    {
                        "domain": name,
                        "stage": STAGE_LABELS.get(stage, stage),
                        "n": rates.get("n"),
                        "format": f"{percent(rates.get('format_rate'))} {percent_range(rates.get('format_interval'))}",
                        "accuracy": percent(rates.get("accuracy")),
                        "reward": "-" if reward is None else f"{reward:.3f}",
                    }
                )
    main = summary.get("headline") or {}
    sentence = main.get("sentence") if main.get("after") == bundle.stage else None
    return {"split": summary.get("split", "?"), "rows": rows, "headline": sentence} if rows else None
