"""Task -> text -> token ids, and completion -> reasoning and answer: one place renders and parses.

frames      chat frames and the default texts, as data
parse       the strict parser
contract    `PromptContract`: both of these, with a tokenizer and a fingerprint
diff        differences with white space made visible
tokenizer   text and ids
"""

from __future__ import annotations

from thinkaloud.prompt.parse import OutsideText, Parsed, Reason, parse_completion

__all__ = ["OutsideText", "Parsed", "Reason", "parse_completion"]
