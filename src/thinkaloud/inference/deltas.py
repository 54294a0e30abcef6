"""Growing text split into what can be sent: whole characters, no part of a stop string, no tags.

A completion in the contract's format is sent as reasoning and answer, stripped and without tags, exactly as the parser
reads the whole text. From the point where a text breaks the format, it is sent as content, tags included.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.parse import OutsideText, Tags


def cut_at_stop(text: str, stops: Sequence[str], *, final: bool) -> tuple[str, bool]:
    """The beginning of a growing text that may be sent, and whether a stop string ends it.

    Unless the text is `final`, what may be the beginning of a stop string or of a character is held back.
    """
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    if places:
        return text[: min(places)], True
    if not final:
        text = text.rstrip("�")
        text = min((_without_partial(text, stop) for stop in stops), key=len, default=text)
    return text, False


def split_parts(text: str, tags: Tags, outside_text: OutsideText = "reject", *, final: bool) -> tuple[str, str]:
    """Reasoning and content of a growing text, as far as they can be sent.

    Each part of a longer text begins with the same part of a shorter one, so nothing that was sent is taken back.

    Args:
        text: The completion so far.
        outside_text: Whether the contract allows text outside the tags, which is dropped then.
        final: Nothing follows, so nothing is held back.
    """
    markers = [f"<{end}{name}>" for end in ("", "/") for name in (tags.reasoning, tags.answer)]

    def breaks_format(outside: str) -> bool:
        allowed = outside_text == "allow" and not any(marker in outside for marker in markers)
        return bool(outside.strip()) and not allowed

    parts, rest = ["", ""], text
    for place, name in enumerate((tags.reasoning, tags.answer)):
        outside, opening, inside = rest.partition(f"<{name}>")
        if not opening and not final:
            outside = _without_partial(outside, f"<{name}>")
        if breaks_format(outside) or (final and not opening and outside.strip()):
            return parts[0], parts[1] + rest
        inside, closing, rest = inside.partition(f"</{name}>")
        if not closing and not final:
            inside = _without_partial(inside, f"</{name}>")
        parts[place] = inside.strip()
        if not closing:
            return parts[0], parts[1]
    return parts[0], parts[1] + (rest if breaks_format(rest) else "")


def _without_partial(text: str, marker: str) -> str:
    """`text` without the longest end that is a beginning of `marker`, but not all of it."""
    lengths = range(min(len(marker) - 1, len(text)), 0, -1)
    return text[: len(text) - next((n for n in lengths if text.endswith(marker[:n])), 0)]


class Choice:
    """One completion as it grows. Streamed and whole answers are both read from it.

    Args:
        contract: Decodes tokens, and names the format's tags.
        stop: Stop strings, searched for in the raw text, tags included.
        limit: Tokens that the completion may have, the end-of-turn token included.

    Attributes:
        reasoning, content: The text so far.
        finish: `stop` or `length` once complete, else empty.
        format: `valid` or the broken rule, once complete.
        num_tokens: Sampled so far, the stop token included.
    """

    def __init__(self, contract: PromptContract, stop: Sequence[str], limit: int) -> None:
        self._contract, self._stop, self._limit = contract, stop, limit
        self.reasoning = self.content = self.finish = self.format = ""
        self.num_tokens = 0

    def push(self, tokens: np.ndarray) -> dict[str, str]:
        """The new text in the tokens so far, int32 [tokens], as a delta; tokens after a stop token are ignored."""
        contract, tokens = self._contract, tokens[: self._limit]
        stops = np.flatnonzero(np.isin(tokens, contract.stop_ids))
        end = int(stops[0]) if len(stops) else len(tokens)
        self.num_tokens = end + bool(len(stops))
        self.finish = "stop" if len(stops) else "length" if end >= self._limit else ""
        whole = contract.tokenizer.decode(tokens[:end].tolist(), keep_special=True)
        text, stopped = cut_at_stop(whole, self._stop, final=bool(self.finish))
        if stopped:
            self.finish = "stop"
        if self.finish:
            self.format = str(contract.parse(text, truncated=self.finish == "length").reason or "valid")
        reasoning, content = split_parts(text, contract.tags, contract.outside_text, final=bool(self.finish))
        new = {"reasoning_content": reasoning[len(self.reasoning) :], "content": content[len(self.content) :]}
        self.reasoning, self.content = reasoning, content
        return {part: piece for part, piece in new.items() if piece}
