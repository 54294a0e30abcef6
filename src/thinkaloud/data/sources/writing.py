"""Creative writing and ideation: a request and a person's text."""

from __future__ import annotations

import re

from thinkaloud.data.clean import clean_text, join_tokens, split_prompt_tags, without_citations
from thinkaloud.data.rows import Values
from thinkaloud.data.sources.base import InvalidRow, Source, new_task, required, text_in
from thinkaloud.records import Task

_DOLLY = {"brainstorming": "creative_ideation", "creative_writing": "creative_writing"}
_DOLLY_LEFT_OUT = frozenset(
    ("classification", "closed_qa", "general_qa", "information_extraction", "open_qa", "summarization")
)
_NO_ROBOTS = {"Generation": "creative_writing", "Brainstorm": "creative_ideation", "Summarize": "summarization"}
_SET_TASKS = re.compile(r"niv2|naturalinstructions|bigbench|beagec|grammar")


def writingprompts(row: Values) -> Task:
    """Fields `prompt` (with the forum's tags) and `story`, both with a tokenizer's spacing."""
    tags, prompt = split_prompt_tags(text_in(row, "prompt"))
    if tags & {"IP", "MP"}:
        raise InvalidRow("the prompt is a picture or a song")
    if tags & {"OT", "MODPOST"}:
        raise InvalidRow("no prompt, but talk about the forum")
    prompt = required(clean_text(join_tokens(prompt)), "no question")
    return new_task(
        domain="creative_writing",
        question=f"Write a short story on this prompt.\n\n{prompt}",
        key=prompt,
        answer=required(clean_text(join_tokens(text_in(row, "story"))), "no answer"),
    )


def dolly(row: Values) -> Task:
    """Fields `instruction`, `context` (may be empty), `response`, `category`."""
    category = text_in(row, "category").strip()
    if category in _DOLLY_LEFT_OUT:
        raise InvalidRow(f"category {category}")
    if category not in _DOLLY:
        raise InvalidRow("unknown category")
    question = required(clean_text(text_in(row, "instruction")), "no question")
    context = clean_text(without_citations(text_in(row, "context")))
    question = f"{question}\n\n{context}" if context else question
    answer = required(clean_text(text_in(row, "response")), "no answer")
    return new_task(domain=_DOLLY[category], question=question, answer=answer)


def longform(row: Values) -> Task:
    """Fields `input`, `output`, `source`, `subset`; sources of set tasks, such as grammar correction, are rejected."""
    origin = re.sub(r"[^a-z0-9]", "", f"{row.get('source')} {row.get('subset')}".casefold())
    if _SET_TASKS.search(origin):
        raise InvalidRow("a set task, not open writing")
    question = required(clean_text(text_in(row, "input")), "no question")
    answer = required(clean_text(text_in(row, "output")), "no answer")
    return new_task(domain="creative_ideation", question=question, answer=answer)


def no_robots(row: Values) -> Task:
    """Fields `prompt`, `messages` (`role`, `content`), `category`; single turns without a system message only."""
    category = text_in(row, "category").strip()
    if category not in _NO_ROBOTS:
        raise InvalidRow("a category of no domain here")
    messages = row.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise InvalidRow("no answer")
    if [message.get("role") for message in messages] != ["user", "assistant"]:
        raise InvalidRow("more than one turn")
    question = required(clean_text(text_in(messages[0], "content") or text_in(row, "prompt")), "no question")
    answer = required(clean_text(text_in(messages[1], "content")), "no answer")
    return new_task(domain=_NO_ROBOTS[category], question=question, answer=answer)


SOURCES = (
    Source(
        name="writingprompts",
        hub="euclaise/writingprompts",
        domains=("creative_writing",),
        license="MIT as the hub copy states; text by users of Reddit",
        to_task=writingprompts,
        splits={"train": "train", "validation": "validation"},
        caps={"creative_writing": 1_600},
        streaming=True,
    ),
    Source(
        name="dolly15k",
        hub="databricks/databricks-dolly-15k",
        domains=("creative_writing", "creative_ideation"),
        license="CC BY-SA 3.0",
        to_task=dolly,
        caps={"creative_writing": 700, "creative_ideation": 1_000},
    ),
    Source(
        name="longform",
        hub="akoksal/LongForm",
        domains=("creative_ideation",),
        license="MIT",
        to_task=longform,
        splits={"train": "train", "validation": "validation"},
        caps={"creative_ideation": 600},
    ),
    Source(
        name="no_robots",
        hub="HuggingFaceH4/no_robots",
        domains=("creative_writing", "creative_ideation", "summarization"),
        license="CC BY-NC 4.0",
        to_task=no_robots,
        caps={"creative_writing": 2_300, "creative_ideation": 1_600, "summarization": 2_900},
    ),
)
