"""thinkaloud's rewards in a task of `verifiers` 0.4.

    pip install . verifiers           # in a clone of the repository

Use `ThinkaloudTask` as the task of your taskset; its rows are those of `thinkaloud.api.dataset`. Prompt the model with
`rendered`, or with the bare question if its chat template contains the contract (`thinkaloud export`).
"""

from __future__ import annotations

import verifiers.v1 as vf

from thinkaloud.records import Completion, Finish, Task, task_id
from thinkaloud.rewards import score


class ThinkaloudData(vf.TaskData):
    """One row."""

    domain: str
    question: str
    answer: str
    tests: tuple[str, ...] = ()
    setup: str = ""
    choices: tuple[str, ...] = ()


class ThinkaloudTask(vf.Task[ThinkaloudData]):
    """A task with thinkaloud's reward."""

    @vf.reward(weight=1.0)
    async def thinkaloud(self, trace: vf.Trace) -> float:
        """The reward in [0, 1]; an error, never 0, if no reward can be formed."""
        row = self.data.model_dump(include={"domain", "question", "answer", "tests", "setup", "choices"})
        task = Task(id=task_id(row["domain"], row["question"], row["choices"]), source="verifiers", **row)
        finish = Finish.LENGTH if trace.is_truncated else Finish.STOP
        found = score(task, Completion(text=trace.last_reply, finish=finish))
        if found.status.masked:
            raise ValueError(f"no reward: {found.explanation}")
        return found.reward
