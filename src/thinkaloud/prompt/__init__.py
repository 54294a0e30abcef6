"""From a task to text to token ids, and from a completion to reasoning and answer.

chat_templates  chat templates and the default texts, as data
parse           the strict parser
contract        `PromptContract`: chat template, texts, parser and tokenizer, with a fingerprint
diff            diffs with white space made visible
tokenizer       text to token ids and back
"""

from __future__ import annotations

from thinkaloud.prompt.parse import OutsideText, Parsed, Reason, parse_completion

__all__ = ["OutsideText", "Parsed", "Reason", "parse_completion"]
