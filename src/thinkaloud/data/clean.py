"""Cleans the texts of sources. Nothing here shortens a text: `curate` drops tasks that are too long."""

from __future__ import annotations

import re
import unicodedata

_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
    "\ufff9-\ufffb\ud800-\udfff]"
)
"""Control characters, soft hyphens, zero-width and direction marks, lone surrogates. Joiners stay: emoji and several
scripts need them."""
_SPACES = re.compile(r" [^\S\n]+|[^\S\n ][^\S\n]*")
_BLANK_LINES = re.compile(r"\n{3,}")

_CALCULATION = re.compile(r"<<[^<>]*>>")
_CITATION = re.compile(r"(?<=\S)\s?\[\d{1,3}\]")
_FORMAT_TAG = re.compile(r"<\s*/?\s*(?:reasoning|answer)\s*/?\s*>", re.IGNORECASE)

_PROMPT_TAG = re.compile(r"[\[({]\s*([A-Za-z]{2,8}(?:\s*[/|&,]\s*[A-Za-z]{2,8})*)\s*[\])}]\s*(?:[:–—-]\s+)?")
_PROMPT_TAGS = frozenset(
    ("WP", "SP", "EU", "CW", "TT", "FF", "PM", "MP", "IP", "PI", "OT", "RF", "CC", "CS", "MODPOST", "NSFW", "NANO")
)

_DETACHED = (
    (("<newline>",), re.compile(r" ?<newline> ?"), "\n"),
    (("``",), re.compile(r"``[ \t]?"), '"'),
    (("''",), re.compile(r"[ \t]?''"), '"'),
    ((" n'", " N'", " n’", " N’"), re.compile(r"(?<=\w) (n['’]t)\b", re.IGNORECASE), r"\1"),
    ((" ’",), re.compile(r"(?<=\w) ’ ?(?=(?:s|t|re|ve|ll|d|m)\b)", re.IGNORECASE), "’"),
    ((" '",), re.compile(r"(?<=\w) ('(?:s|re|ve|ll|d|m)\b)", re.IGNORECASE), r"\1"),
    (("on na", "an na"), re.compile(r"\b(gon|wan) (na)\b", re.IGNORECASE), r"\1\2"),
    (("ot ta",), re.compile(r"\b(got) (ta)\b", re.IGNORECASE), r"\1\2"),
    (("-- -",), re.compile(r"-- (?=-)"), "--"),
    ((" ",), re.compile(r"([“‘(\[$£€])[ \t]"), r"\1"),
    ((" ", "\t"), re.compile(r"(?<=\S)[ \t]([”)\],;:!?%]|\.+(?!\w))"), r"\1"),
)
"""In this order: substrings that show a tokenizer's split (quick to search), the pattern, and its replacement."""


def clean_text(text: str) -> str:
    """Prose: NFC, no invisible characters, one space between words, lines stripped, at most one blank line in a row.

    >>> clean_text("One\\u00a0 line \\r\\n\\r\\n\\r\\n\\r\\nand\\x00 another ")
    'One line\\n\\nand another'
    """
    seen = _SPACES.sub(" ", _without_unseen(text))
    lines = "\n".join(line.strip() for line in seen.split("\n"))
    return unicodedata.normalize("NFC", _BLANK_LINES.sub("\n\n", lines).strip())


def clean_line(text: str) -> str:
    """`clean_text` joined into one line, for options and short answers."""
    return " ".join(clean_text(text).split())


def clean_code(text: str) -> str:
    """Code: as prose, but indentation and inner spaces stay; trailing white space is removed."""
    lines = [line.rstrip() for line in _without_unseen(text).split("\n")]
    return unicodedata.normalize("NFC", "\n".join(lines).strip("\n"))


def _without_unseen(text: str) -> str:
    return _UNSEEN.sub("", _LINE_ENDS.sub("\n", text))


def join_tokens(text: str) -> str:
    """Undoes a tokenizer's spacing (Penn Treebank's, as in WritingPrompts); quotes become straight quotes.

    >>> join_tokens("`` I did n't , '' she said .")
    '"I didn\\'t," she said.'
    """
    for signs, pattern, together in _DETACHED:
        if any(sign in text for sign in signs):
            text = pattern.sub(together, text)
    return text


def split_prompt_tags(prompt: str) -> tuple[frozenset[str], str]:
    """The forum's tags at either end of a writing prompt, in upper case, and the prompt without them.

    >>> split_prompt_tags("[ WP ] A door that hums .")
    (frozenset({'WP'}), 'A door that hums .')
    """
    tags: set[str] = set()
    rest = prompt.strip()
    while (found := _PROMPT_TAG.match(rest)) and (named := _known_tags(found[1])):
        tags |= named
        rest = rest[found.end() :].lstrip()
    *_, last = [None, *_PROMPT_TAG.finditer(rest[-30:])]
    if last is not None and last.end() == len(rest[-30:]) and (named := _known_tags(last[1])):
        tags |= named
        rest = rest[: len(rest) - len(last[0])].rstrip()
    return frozenset(tags), rest


def _known_tags(text: str) -> set[str]:
    """The tags in a bracket that contains nothing else; otherwise none."""
    named = {part.upper() for part in re.findall(r"[A-Za-z]+", text)}
    return named if named <= _PROMPT_TAGS else set()


def without_calculations(text: str) -> str:
    """`text` without GSM8K's calculator annotations, such as `<<48/2=24>>`."""
    return _CALCULATION.sub("", text)


def without_citations(text: str) -> str:
    """`text` without Wikipedia's reference numbers, such as `[12]` after a word."""
    return _CITATION.sub("", text)


def rationale_of(text: str) -> str:
    """A cleaned rationale; empty where it contains tags of the format, which would break a completion."""
    return "" if _FORMAT_TAG.search(text) else clean_text(text)
