"""Summarization: an article and its newsroom's summary."""

from __future__ import annotations

from thinkaloud.data.clean import clean_line, clean_text, join_tokens
from thinkaloud.data.rows import Values
from thinkaloud.data.sources.base import Source, new_task, required, text_in
from thinkaloud.records import Task


def xsum(row: Values) -> Task:
    """Fields `document`, `summary` (one sentence)."""
    document = required(clean_text(text_in(row, "document")), "no question")
    return new_task(
        domain="summarization",
        question=f"Summarize the text in one sentence.\n\n{document}",
        key=document,
        answer=required(clean_line(text_in(row, "summary")), "no answer"),
    )


def cnn_dailymail(row: Values) -> Task:
    """Fields `article`, `highlights` (one sentence per line, with a space before the full stop)."""
    article = required(clean_text(text_in(row, "article")), "no question")
    return new_task(
        domain="summarization",
        question=f"Summarize the text in three or four sentences.\n\n{article}",
        key=article,
        answer=required(clean_line(join_tokens(text_in(row, "highlights"))), "no answer"),
    )


SOURCES = (
    Source(
        name="xsum",
        hub="EdinburghNLP/xsum",
        revision="refs/convert/parquet",  # the main branch has a loading script, which `datasets` no longer runs
        domains=("summarization",),
        license="unknown, as the hub copy states; text by the BBC",
        to_task=xsum,
        splits={"train": "train", "validation": "validation"},
        caps={"summarization": 2_900},
        streaming=True,
    ),
    Source(
        name="cnn_dailymail",
        hub="abisee/cnn_dailymail",
        config="3.0.0",
        domains=("summarization",),
        license="Apache-2.0",
        to_task=cnn_dailymail,
        splits={"train": "train", "validation": "validation"},
        caps={"summarization": 2_900},
        streaming=True,
    ),
)
