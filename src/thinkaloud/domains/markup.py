"""An answer's text without its markup, and the reasons not to read it at all.

`unwrapped` turns LaTeX, Markdown and HTML into the text that a reader sees: `\\boxed{\\text{B}}` is `B`, `CO₂` and
`CO_{2}` are `CO2`, `10⁶` is `10^6`, a Unicode minus is `-`. `disguise` names what makes a text look different from what
it says: zero-width characters, look-alike letters of another script, struck-out or hidden text.
"""

from __future__ import annotations

import re
import unicodedata

_SIGNS = str.maketrans(
    dict(zip("−‐‑–﹣×⋅∗∙·’‘′µ≃≅⩽⩾", [*"-----*****'''", "μ", *"≈≈≤≥"], strict=True))
    | dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-", strict=True))
    | {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4"}
)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_HTML = re.compile(r"</?(?:b|i|em|strong|u|p|br|span|code|mark)\s*/?>", re.IGNORECASE)
_LATEX = (
    (re.compile(r"<sup>|\\textsuperscript\s*(?=\{)", re.IGNORECASE), "^"),
    (re.compile(r"</?su[bp]>|\\textsubscript\s*(?=\{)", re.IGNORECASE), ""),
    (re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+"), lambda match: "^" + match[0].translate(_RAISED)),
    (re.compile(r"\\[dtc]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r"\1/\2"),
    (re.compile(r"\^\s*\{?\s*\\(?:circ|degree)(?![a-zA-Z])\s*\}?|\\degree(?![a-zA-Z])"), "°"),
    (re.compile(r"\\(?:times|cdot|ast)(?![a-zA-Z])"), " * "),
    (re.compile(r"\\(?:rightarrow|to|longrightarrow)(?![a-zA-Z])"), " → "),
    (re.compile(r"\\(?:left|right|displaystyle|quad|qquad)(?![a-zA-Z])|\\[,;:! ()\[\]]|~(?=\d)|\\\\"), " "),
    (re.compile(r"\\(?:boxed|fbox|text[a-z]*|math[a-z]*|operatorname|mbox|ce|emph|underline)\s*(?=\{)"), ""),
    (re.compile(r"\\([%$#&_])"), r"\1"),
    (re.compile(r"\^\s*[{(]\s*([-+\w]*)\s*[)}]"), r"^\1"),
    (re.compile(r"_\s*\{\s*(\w*)\s*\}|(?<=[A-Z])_(?=\d)"), r"\1"),
    (re.compile(r"[{}]"), " "),
    (re.compile(r"\^(\d*[-+])(?![\w.])"), r"\1"),  # a charge: Ca^{2+} is Ca2+
    (re.compile(r"(?<=\d)\s*[*x]\s*(?=10\b)|(?<=\d)\s*\*\s*(?=\d)"), "*"),
)
_EMPHASIS = re.compile(r"(?<![\w*])\*{1,3}([^\s*][^*]*)\*{1,3}(?![\w*])")
_DOLLARS = re.compile(r"\$\$?([^$]*)\$\$?")

_HIDDEN = re.compile(r"<!--|~~|</?(?:s|del|strike)>|\\(?:[bx]?cancel|sout|st|h?v?phantom|color|textcolor)\s*\{", re.I)
_LOOK_ALIKES = frozenset("АВЕЅІЈКМНОРСТУХЗаеѕіјорсухһԁԛԝґгпкΑΒΕΖΗΙΚΜΝΟΡΤΥΧονικρυ")
_SCRIPTS = frozenset({"CYRILLIC", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "DESERET"})
_RAISED_OR_LOWERED = ("<super>", "<sub>", "<fraction>")
_WORD = re.compile(r"[^\W\d_]+")


def unwrapped(text: str) -> str:
    """`text` as a reader sees it, without the markup around and inside it."""
    text = text.translate(_SIGNS)
    if "<" in text:
        text = _HTML.sub("", text)
    if "\\" in text or "^" in text or "_" in text or "{" in text or "*" in text or "<" in text or not text.isascii():
        for pattern, plain in _LATEX:
            text = pattern.sub(plain, text)
    elif "10" in text:
        text = _LATEX[-1][0].sub("*", text)
    if "*" in text:
        text = _EMPHASIS.sub(r"\1", text)
    if text.count("$") >= 2:  # $B$ is mathematics, $5 is money
        text = _DOLLARS.sub(r" \1 ", text)
    return text


def disguise(text: str, allowed: str = "") -> str | None:
    """Why `text` may not be what it looks like, or None.

    Args:
        text: an answer, hostile perhaps.
        allowed: the gold answer, or the options: characters that stand there are no disguise.
    """
    hidden = _HIDDEN.search(text)
    if hidden and hidden[0] not in allowed:
        return "the answer holds hidden or struck-out text"
    if text.isascii():
        return None
    strange = {c for c in text if not c.isascii()}.difference(allowed)
    for character in strange:
        if reason := _strange(character):
            return f"the answer holds {reason} (U+{ord(character):04X})"
    if any(_is_foreign(c) for c in strange) and any(_mixes_scripts(word, allowed) for word in _WORD.findall(text)):
        return "the answer holds look-alike letters of another script"
    return None


def _strange(character: str) -> str | None:
    category = unicodedata.category(character)
    if category in ("Cf", "Co", "Cn", "Cs"):
        return "an invisible character"
    if category in ("Mn", "Me") and unicodedata.name(character, "").endswith(("OVERLAY", "ENCLOSING CIRCLE BACKSLASH")):
        return "struck-out text"
    if unicodedata.name(character, "").startswith("LATIN LETTER SMALL CAPITAL"):
        return "a look-alike letter"
    if unicodedata.decomposition(character).startswith(_RAISED_OR_LOWERED):
        return None
    folded = unicodedata.normalize("NFKC", character)
    if (
        folded != character
        and folded.isascii()
        and folded.isalnum()
        and unicodedata.normalize("NFC", character) != folded
    ):
        return "a look-alike letter"
    return None


def _is_foreign(character: str) -> bool:
    return character in _LOOK_ALIKES or unicodedata.name(character, "").partition(" ")[0] in _SCRIPTS


def _mixes_scripts(word: str, allowed: str) -> bool:
    """A Latin word with letters of another script, or a word of look-alikes alone."""
    foreign = [c for c in word if not c.isascii() and c not in allowed and _is_foreign(c)]
    return bool(foreign) and (len(foreign) < len(word) or all(c in _LOOK_ALIKES for c in foreign))
