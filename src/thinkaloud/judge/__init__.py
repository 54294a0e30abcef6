"""A language model that marks creative answers, at any OpenAI-compatible endpoint. Optional, and never needed.

rubric     what the judge is asked, and how its reply is read
endpoint   one request: limits of time and size, and what a failure means
ledger     marks and spendings on disk, so that a resumed run pays for nothing twice
judge      many answers: at once, retried, within the budget; the one place where failures are dealt with
paid       marks as a part of the reward
"""

from thinkaloud.judge.judge import FILE, Answer, Judge, Notice, Outcome, Ruling, open_judge
from thinkaloud.judge.paid import answer_of, paid
from thinkaloud.judge.rubric import Marks, fingerprint

__all__ = [
    "FILE",
    "Answer",
    "Judge",
    "Marks",
    "Notice",
    "Outcome",
    "Ruling",
    "answer_of",
    "fingerprint",
    "open_judge",
    "paid",
]
