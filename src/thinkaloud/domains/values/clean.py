"""Typography and LaTeX layout -> one plain form, without loss of a sign, bracket, factor, order or unit."""

from __future__ import annotations

import re
import unicodedata

_FRACTIONS = "½1/2 ⅓1/3 ⅔2/3 ¼1/4 ¾3/4 ⅕1/5 ⅖2/5 ⅗3/5 ⅘4/5 ⅙1/6 ⅚5/6 ⅐1/7 ⅑1/9 ⅒1/10 ⅛1/8 ⅜3/8 ⅝5/8 ⅞7/8"
_SIGNS = {
    "−": "-", "‐": "-", "‑": "-", "⁄": "/", "∕": "/", "÷": r"\div ", "×": "*", "·": "*", "⋅": "*", "∗": "*",
    "≤": "<=", "⩽": "<=", "≥": ">=", "⩾": ">=", "≠": "!=", "≈": r"\approx ", "≃": r"\approx ", "≅": r"\approx ",
    "∞": r"\infty ", "√": r"\sqrtsign ", "∛": r"\cbrt ", "π": r"\pi ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ",
    "∅": r"\emptyset ", "±": r"\pm ", "∓": r"\mp ", "º": "°", "′": "'", "’": "'", "‘": "'", "“": '"', "”": '"',
    "…": "...", "⟨": "(", "⟩": ")", "∣": "|", "＄": "$", "￥": "¥", "￡": "£", "⇒": r"\implies ", "→": r"\to ",
}  # fmt: skip
_CHARS = str.maketrans(
    _SIGNS
    | {item[0]: rf"\frac{{{item[1:].replace('/', '}{')}}} " for item in _FRACTIONS.split()}
    | {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    | dict.fromkeys("\xa0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t\r", " ")
)
_HIDDEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\x00-\x08\x0b-\x1f\x7f]")
_DASH_AS_SIGN = re.compile(r"(?:(?<![^\n=<>(\[{,;:|*/^$])|(?<=[a-z] )) ?–(?=[\d.\\($])")
"""An en dash before a number where no range can end: at the start, after a sign, an opening bracket or a word."""
_STYLED = re.compile("[\U0001d400-\U0001d7ff]")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_SUBSCRIPT = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_SCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻₀₁₂₃₄₅₆₇₈₉", "0123456789+-0123456789")
_TEXT = re.compile(
    r"\\(?:text|textnormal|textbf|textit|textrm|textsf|mathrm|mathbf|mathit|mathsf|boldsymbol|operatorname\*?|mbox|hbox)"
    r"\s*\{([^{}]*)\}"
)
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*(?=\{)")
_LATEX = (
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"(?<=,)\\[,;:! ]\s*(?=\d{3})|\\!"), ""),
    (re.compile(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![a-zA-Z]))|\\degree(?![a-zA-Z])"), "°"),
    (re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![a-zA-Z])\s*\.?"), " "),
    (re.compile(r"\\q?quad(?=[a-zA-Z](?![a-zA-Z]))"), " "),
    (re.compile(r"\\(?:displaystyle|textstyle|quad|qquad|limits|rm|bf|it|large|Large)(?![a-zA-Z])|\\[,;: ]"), " "),
    (re.compile(r"\\(?:times|cdot|ast)(?![a-zA-Z])"), "*"),
    (re.compile(r"\\(?:leqslant|leq|le|lt)(?![a-zA-Z])"), lambda m: "<" if m[0] == r"\lt" else "<="),
    (re.compile(r"\\(?:geqslant|geq|ge|gt)(?![a-zA-Z])"), lambda m: ">" if m[0] == r"\gt" else ">="),
    (re.compile(r"\\neq?(?![a-zA-Z])|\\not\s*="), "!="),
    (re.compile(r"\\(?:lvert|rvert|vert|mid)(?![a-zA-Z])"), "|"),
    (re.compile(r"\\l(?:brace)(?![a-zA-Z])"), r"\\{"),
    (re.compile(r"\\rbrace(?![a-zA-Z])"), r"\\}"),
    (re.compile(r"\\(?:langle|lparen)(?![a-zA-Z])"), "("),
    (re.compile(r"\\(?:rangle|rparen)(?![a-zA-Z])"), ")"),
    (re.compile(r"\\lbrack(?![a-zA-Z])"), "["),
    (re.compile(r"\\rbrack(?![a-zA-Z])"), "]"),
    (re.compile(r"\\([%#&_])"), r"\1"),
)
_MATH = re.compile(r"\\\(|\\\)|\\\[|\\\]|\$\$")
_PAIRED_DOLLARS = re.compile(r"\$([^$]*)\$(?!\s?\.?\d)")
_EMPHASIS = re.compile(r"(?<![\w*)}])(\*{1,2}|__|`+)([^\s*`_](?:[^*`]*[^\s*`])?)\1(?![\w*({])")
_NEEDS_LATEX = re.compile(r"[\\$*_`{}]")


def clean(text: str) -> str:
    """`text` in plain form: `−5` becomes `-5`, `\\boxed{\\dfrac34}` becomes ` \\frac34 `, `$5$` becomes ` 5 `.

    Zero-width and control characters become spaces: they may not join two digits into a number.
    """
    if not text.isascii():
        text = _non_ascii(text)
    text = _HIDDEN.sub(" ", text)
    if not _NEEDS_LATEX.search(text):
        return text
    text = _EMPHASIS.sub(r"\2", text)
    text = text.replace("{,}", ",")
    if "\\" in text:
        text = text.replace("\\\\", "\ue001").replace("\\$", "\ue000")
        for _ in range(2):  # twice, for one inside another
            text = _TEXT.sub(r" \1 ", text)
        text = _unboxed(text)
        for pattern, plain in _LATEX:
            text = pattern.sub(plain, text)
        text = _MATH.sub(" ", text)
    if text.count("$") >= 2:  # $5$ is mathematics, $5 is money
        text = _PAIRED_DOLLARS.sub(r" \1 ", text.replace("$$", " "))
    return text.replace("\ue000", "$").replace("\ue001", "\\\\")


def _non_ascii(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    text = _STYLED.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    text = _SUPERSCRIPT.sub(lambda match: f"^{{{match[0].translate(_SCRIPTS)}}}", text)
    text = _SUBSCRIPT.sub(lambda match: f"_{{{match[0].translate(_SCRIPTS)}}}", text)
    return _DASH_AS_SIGN.sub("-", text).translate(_CHARS)


def _unboxed(text: str) -> str:
    """`text` with every box replaced by its content; braces are matched in one pass."""
    if not _BOX.search(text):
        return text
    opened: list[int] = []
    closing: dict[int, int] = {}
    for at, char in enumerate(text):
        if char == "{" and text[at - 1 : at] != "\\":
            opened.append(at)
        elif char == "}" and text[at - 1 : at] != "\\" and opened:
            closing[opened.pop()] = at
    pieces = list(text)
    for match in _BOX.finditer(text):
        end = closing.get(match.end())
        if end is not None:
            pieces[match.start() : match.end() + 1] = [" "] + [""] * (match.end() - match.start())
            pieces[end] = " "
    return "".join(pieces)
