"""Typed values of mathematical answers: read once (`reader`), compared by type (`compare`).

In pipeline order: `clean` (typography and LaTeX layout), `lexer`, `numerals`, `units`, `quantity` (one number with its
unit), `tree` and `evaluate` (expressions), `kinds` (the types), `structure` (lists, intervals, relations, matrices),
`prose` (the number that a sentence states), `refusals`, `reader`, `question` (what is asked), `compare`.
"""
