"""Typed values of mathematical answers: read once (`reader`), compared by type (`compare`).

In pipeline order: `clean` (typography and LaTeX layout), `lexer`, `numerals` (numbers in words), `refusals` (hedges and
denials), `units`, `literals` and `quantity` (one number with its unit), `grammar`, `atoms` and `tree` (expressions),
`exact`, `numeric` and `evaluate` (their values), `kinds` (the types), `notations`, `relations`, `naming` and
`structure` (texts that are mathematics from end to end), `prose` (the number that a sentence states), `reader`,
`question` (what is asked), `quantities`, `forms` and `compare`.
"""
