"""Text as it grows, cut into what can be sent: whole characters, no part of a stop string, no tag.

A completion in the contract's format is sent as reasoning and answer without the tags and the white space around them,
just as it is parsed once it is whole. Text that breaks the format is sent as content from there on, tags included.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from thinkaloud.prompt.parse import Tags

Part = Literal["reasoning_content", "content"]


@dataclass
class StopStrings:
    """Finds the first of some strings in text that grows, and holds back what may be the beginning of one."""

    stops: tuple[str, ...]
    found: bool = False

    def safe(self, text: str, *, final: bool) -> str:
        """The beginning of `text` that may be sent; up to the first stop string once `found`."""
        places = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        if places:
            self.found = True
            return text[: min(places)]
        held = 0
        if not final:
            if text.endswith("�"):  # perhaps the beginning of a character
                text = text.rstrip("�")
            held = max((_overlap(text, stop) for stop in self.stops), default=0)
        return text[: len(text) - held]


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that `stop` begins with."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)


@dataclass
class Splitter:
    """Splits growing text into parts to send. `push` takes the whole text so far, which only ever grows."""

    tags: Tags
    _at: int = 0
    _stage: int = 0
    _pending: str = field(default="")

    def push(self, text: str, *, final: bool = False) -> list[tuple[Part, str]]:
        """What can be sent now and was not sent yet.

        Args:
            text: the completion so far.
            final: nothing follows; nothing is held back.
        """
        sent: list[tuple[Part, str]] = []
        while self._advance(text, sent, final):
            pass
        return [(part, piece) for part, piece in sent if piece]

    def _advance(self, text: str, sent: list[tuple[Part, str]], final: bool) -> bool:
        """One move of the machine; False where more text is needed. Even stages wait for a tag, odd ones are in it."""
        rest = text[self._at :]
        if self._stage == BROKEN:
            sent.append(("content", rest))
            self._at = len(text)
            return False
        name = self.tags.reasoning if self._stage < 2 else self.tags.answer
        part: Part = "reasoning_content" if self._stage < 2 else "content"
        if self._stage in (0, 2, 4):
            return self._before_tag(text, rest, f"<{name}>", final)
        closing = f"</{name}>"
        end = rest.find(closing)
        if end >= 0:
            sent.append((part, self._inside(rest[:end].rstrip())))
            self._at += end + len(closing)
            self._stage += 1
            self._pending = ""
            return True
        held = 0 if final else _overlap(rest, closing)
        ready = rest[: len(rest) - held]
        visible = ready.rstrip()
        sent.append((part, self._inside(visible)))
        self._at += len(visible)
        return False

    def _before_tag(self, text: str, rest: str, opening: str, final: bool) -> bool:
        """White space, then the next tag; anything else, or more text after the answer, breaks the format."""
        start = rest.lstrip()
        if self._stage < 4 and start.startswith(opening):
            self._at = len(text) - len(start) + len(opening)
            self._stage += 1
            return True
        if not start or (self._stage < 4 and opening.startswith(start) and not final):
            return False
        self._stage = BROKEN
        return True

    def _inside(self, piece: str) -> str:
        """Text within a tag: white space at its beginning is dropped, that between pieces kept."""
        if not self._pending:
            piece = piece.lstrip()
        self._pending = self._pending or piece
        return piece


BROKEN = 5
