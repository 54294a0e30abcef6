"""A language model that marks creative answers, at any OpenAI-compatible endpoint. Optional.

rubric     what the judge is asked, and how its reply is read
records    answers, rulings, notices
failure    what a failed request means
endpoint   one request through the openai client: limits of time and size, failures
pauses     when a failing endpoint is left alone
ledger     marks and costs on disk, so that a resumed run pays for nothing twice
judge      many answers: concurrent, retried, within the budget; failures are handled here
paid       marks as part of the reward
"""

from thinkaloud.judge.judge import FILE, Judge, open_judge, read_key
from thinkaloud.judge.paid import answer_of, paid
from thinkaloud.judge.records import Answer, Notice, Outcome, Ruling
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
    "read_key",
]
