"""Growing text split into what can be sent: whole characters, no part of a stop string, no tags.

A completion in the contract's format is sent as reasoning and answer, stripped and without tags, exactly as the parser
reads the whole text. From the point where a text breaks the format, it is sent as content, tags included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.parse import OutsideText, Tags

Part = Literal["reasoning_content", "content"]
BEFORE, AFTER, BROKEN = 0, 4, 5
"""Stages of `Splitter`: even ones are outside the tags, odd ones inside. 1: reasoning, 2: between, 3: answer."""


@dataclass
class StopStrings:
    """Finds the first stop string in growing text, and holds back what may be the beginning of one."""

    stops: tuple[str, ...]
    found: bool = False

    def safe(self, text: str, *, final: bool) -> str:
        """The beginning of `text` that may be sent; up to the first stop string once `found`."""
        places = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        if places:
            self.found = True
            return text[: min(places)]
        if final:
            return text
        text = text.rstrip("�")  # perhaps the beginning of a character
        return text[: len(text) - max((_overlap(text, stop) for stop in self.stops), default=0)]


def _overlap(text: str, marker: str) -> int:
    """The length of the longest end of `text` that is a beginning of `marker`, but not all of it."""
    return next((n for n in range(min(len(marker) - 1, len(text)), 0, -1) if text.endswith(marker[:n])), 0)


@dataclass
class Splitter:
    """Splits growing text into parts to send."""

    tags: Tags
    outside_text: OutsideText = "reject"
    _at: int = 0
    _stage: int = BEFORE
    _begun: bool = False

    def push(self, text: str, *, final: bool = False) -> list[tuple[Part, str]]:
        """What can be sent now and was not sent yet.

        Args:
            text: The completion so far; each call's text begins with the previous call's.
            final: Nothing follows, so nothing is held back.
        """
        sent: list[tuple[Part, str]] = []
        while self._advance(text, sent, final):
            pass
        return [(part, piece) for part, piece in sent if piece]

    def _advance(self, text: str, sent: list[tuple[Part, str]], final: bool) -> bool:
        """Process one stage; False where it needs more text."""
        rest = text[self._at :]
        if self._stage == BROKEN:
            sent.append(("content", rest))
            self._at = len(text)
            return False
        name = self.tags.reasoning if self._stage < 2 else self.tags.answer
        if self._stage % 2 == 0:
            return self._outside(rest, "" if self._stage == AFTER else f"<{name}>", final)
        closing = f"</{name}>"
        inside, tag, _ = rest.partition(closing)
        if not tag and not final:
            inside = inside[: len(inside) - _overlap(inside, closing)]
        visible = inside.rstrip()  # white space is sent only once more text follows it
        self._at += len(inside) + len(tag) if tag else len(visible)
        visible = visible if self._begun else visible.lstrip()
        sent.append(("reasoning_content" if self._stage < 2 else "content", visible))
        self._begun = not tag and (self._begun or bool(visible))
        self._stage += bool(tag)
        return bool(tag)

    def _outside(self, rest: str, opening: str, final: bool) -> bool:
        """Skip to the next tag. Text that the contract does not allow there breaks the format."""
        outside, tag, _ = rest.partition(opening) if opening else (rest, "", "")
        if not tag and not final:
            outside = outside[: len(outside) - _overlap(outside, opening)]
        missing = final and not tag and self._stage < AFTER and outside.strip()
        if missing or self._breaks_format(outside):
            self._stage = BROKEN
            return True
        if tag:
            self._at += len(outside) + len(tag)
            self._stage += 1
        return bool(tag)

    def _breaks_format(self, outside: str) -> bool:
        if self.outside_text == "reject":
            return bool(outside.strip())
        return any(f"<{end}{name}>" in outside for end in ("", "/") for name in (self.tags.reasoning, self.tags.answer))


class Choice:
    """One completion as it grows. Streamed and whole answers are read from it alike.

    Args:
        contract: Decodes tokens, and names the format's tags.
        stop: Stop strings; they are looked for in the raw text, tags included.
        limit: Tokens that the completion may have, the end-of-turn token included.

    Attributes:
        parts: The text sent so far; no reasoning is None.
        finish: `stop` or `length` once the completion is complete, else empty.
        format: `valid` or the broken rule, once complete.
        num_tokens: Sampled so far, the stop token included.
    """

    def __init__(self, contract: PromptContract, stop: Sequence[str], limit: int) -> None:
        self._contract, self._limit = contract, limit
        self._stops = StopStrings(tuple(stop))
        self._splitter = Splitter(contract.tags, contract.outside_text)
        self.parts: dict[Part, str | None] = {"reasoning_content": None, "content": ""}
        self.finish = self.format = ""
        self.num_tokens = 0

    def push(self, tokens: np.ndarray) -> list[tuple[Part, str]]:
        """The new pieces of text in the tokens so far, int32 [tokens]; those after a stop token are ignored."""
        tokens = tokens[: self._limit]
        stops = np.flatnonzero(np.isin(tokens, self._contract.stop_ids))
        end = int(stops[0]) if len(stops) else len(tokens)
        self.num_tokens = end + bool(len(stops))
        self.finish = "stop" if len(stops) else "length" if end >= self._limit else ""
        whole = self._contract.tokenizer.decode(tokens[:end].tolist(), keep_special=True)
        text = self._stops.safe(whole, final=bool(self.finish))
        if self._stops.found:
            self.finish = "stop"
        pieces = self._splitter.push(text, final=bool(self.finish))
        for part, piece in pieces:
            self.parts[part] = (self.parts[part] or "") + piece
        if self.finish:
            self.format = str(self._contract.parse(text, truncated=self.finish == "length").reason or "valid")
        return pieces
