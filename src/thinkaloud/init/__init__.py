"""`thinkaloud init`: from a data file to a recipe, without questions.

    sample.py     the first rows, and how the file is written: kind, encoding, delimiter
    columns.py    which column is what, by name, then by content
    scorer.py     which verifier reads the gold answers
    check.py      a first curation of the rows, and token limits from their lengths
    propose.py    all of it
    recipe.py     the recipe as TOML with comments

Every guess has a reason, which is shown beside the flag that changes it. Does not import JAX.
"""
