"""The sampled rows of a cold start: from scripted answers, a local teacher, a teacher at an endpoint; and resumed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.fake_endpoint import CannedReply, serving
from support.short_sources import short_sources
from support.tiny_runs import make_base
from thinkaloud.checkpoint.files import list_saved
from thinkaloud.config import Recipe, parse_recipe_text
from thinkaloud.data import Pool
from thinkaloud.data.starter import load_starter
from thinkaloud.data.store import read_index
from thinkaloud.domains import BUILTIN
from thinkaloud.errors import UserError
from thinkaloud.model.load import load_model
from thinkaloud.pipeline import answerer as answerer_module
from thinkaloud.pipeline import cold_start as stage_module
from thinkaloud.pipeline import cold_start_rows as module
from thinkaloud.pipeline import opening
from thinkaloud.pipeline import train as pipeline
from thinkaloud.pipeline.answerer import EndpointAnswerer, PolicyAnswerer, check_teacher, open_answerer
from thinkaloud.pipeline.cold_start_rows import Sampled, cold_start_rows, next_tasks, worked_example, worked_examples
from thinkaloud.pipeline.context import TrainContext
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.records import Completion, RolloutGroup, Task
from thinkaloud.rewards.scoring import score_groups
from thinkaloud.rollout.policy import Policy
from thinkaloud.seeding import derive_seed
from thinkaloud.session.session import Session
from thinkaloud.storage.run_directory import RunDir
from thinkaloud.tracking.display import Display
from thinkaloud.tracking.environment import PhaseTimer
from thinkaloud.tracking.recorder import Recorder
from thinkaloud.train.row_selection import Candidate

TEXT = (Path(__file__).parents[2] / "recipes" / "tiny.toml").read_text(encoding="utf-8")
SELF = (
    "data.domains=['math', 'logic']",
    "cold_start.max_steps=3",
    "cold_start.probe_tasks=2",
    "cold_start.source='self'",
    "cold_start.self_tasks=5",
    "cold_start.self_samples=4",
    "cold_start.self_rows_per_domain=2",
    "cold_start.self_length_percentile=100",
    "rollout.max_new_tokens=64",
)


def recipe_of(*overrides: str) -> Recipe:
    return parse_recipe_text(TEXT, [*SELF, *overrides])


def task(domain: str, number: int, rationale: str = "") -> Task:
    answer = "7" if domain == "math" else "yes"
    return Task(
        id=f"{domain}-{number}",
        domain=domain,
        source="pool",
        question=f"Q{number}?",
        answer=answer,
        rationale=rationale,
    )


POOL = Pool.of(
    [
        task("math", 0, "It is seven."),
        *(task("math", number) for number in range(1, 5)),
        task("logic", 0, "Because it follows."),
        task("logic", 1, "So."),
        *(task("logic", number) for number in range(2, 5)),
    ],
    ["math", "logic"],
)


POOL_OF_MATH = Pool.of(POOL.by_domain("train")["math"], ["math"])


def reply(reasoning: str, answer: str) -> str:
    return f"<reasoning>{reasoning}</reasoning>\n<answer>{answer}</answer>"


MakeContext = Callable[..., TrainContext]


class Scripted:
    """Right in two of four samples of math, never in logic; the texts depend on the seed and the task."""

    name = "self"

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.seeds: list[int] = []

    def can_ask(self, task: Task) -> bool:
        return not task.id.endswith("-4")

    def answer(self, tasks: Sequence[Task], seed: int) -> list[RolloutGroup]:
        self.asked.append([task.id for task in tasks])
        self.seeds.append(seed)
        return [RolloutGroup(task=task, prompt_ids=(), completions=self._of(task, seed)) for task in tasks]

    def _of(self, task: Task, seed: int) -> tuple[Completion, ...]:
        word = hashlib.sha256(f"{seed} {task.id}".encode()).hexdigest()[:6]
        right = task.answer if task.domain == "math" else "no"
        texts = (reply(f"Long way {word}.", right), "seven", reply(f"W{word}.", right), reply("No.", "no idea"))
        return tuple(Completion(text=text) for text in texts)


@pytest.fixture(scope="module")
def base() -> Policy:
    files, contract = open_contract(recipe_of())
    return Policy(load_model(files, "float32"), contract, 1.0)


@pytest.fixture
def make_context(tmp_path: Path, base: Policy) -> Callable[..., TrainContext]:
    """What the stage uses of a run; the display writes to a string."""

    def make(recipe: Recipe, pool: Pool = POOL) -> TrainContext:
        files, contract = open_contract(recipe)
        run, display = RunDir(tmp_path / "run"), Display(io.StringIO())
        run.path.mkdir(exist_ok=True)
        return TrainContext(
            session=Session(recipe, files, contract, pool),
            run=run,
            policy=base,
            score=lambda groups: score_groups(groups, contract=contract),
            display=display,
            timer=PhaseTimer(),
            recorder=Recorder(run, display, []),
        )

    return make


def notes(context: TrainContext) -> list[str]:
    stream: Any = context.display._stream
    return [line for line in stream.getvalue().splitlines() if " rows of " in line or "deadline" in line]


def test_rows_are_chosen_and_a_domain_without_enough_keeps_the_pools(
    make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted = Scripted()
    monkeypatch.setattr(module, "open_answerer", lambda *_: scripted)
    context = make_context(recipe_of())
    rows = cold_start_rows(context, float("inf"))
    assert rows is not None
    # two tasks a batch (2 prompts x 4 / 4 samples); the examples and the tasks that cannot be asked are left out
    assert scripted.asked == [["math-1", "logic-0"], ["math-2", "logic-2"], ["logic-3"]]
    assert scripted.seeds == [derive_seed(0, "cold_start_self", batch) for batch in range(3)]
    by_domain = rows.by_domain("train", with_rationale=True)
    math = sorted(by_domain["math"], key=lambda one: one.id)
    assert [(one.id, one.answer, one.source) for one in math] == [("math-1", "7", "self"), ("math-2", "7", "self")]
    assert all(one.rationale.startswith("W") for one in math), "the shorter of the right answers"
    assert {(one.id, one.rationale, one.source) for one in by_domain["logic"]} == {
        ("logic-0", "Because it follows.", "data"),
        ("logic-1", "So.", "data"),
    }
    assert read_index(context.run.path / module.FOLDER)["record"]["domains"] == {
        "math": {"tasks": 2, "samples": 8, "usable": 4, "found": 2, "origin": "self", "kept": 2},
        "logic": {"tasks": 3, "samples": 12, "usable": 0, "found": 0, "origin": "data", "kept": 2},
    }
    math_note, logic_note = notes(context)
    assert "math: 2 rows of 8 samples" in math_note
    assert "logic: 0 rows of 12 samples" in logic_note
    assert "the pool's 2 rationales" in logic_note
    assert cold_start_rows(context, 0.0) is not None
    assert len(scripted.asked) == 3, "the rows are read, not sampled again"


def test_a_deadline_ends_the_sampling_after_a_batch(make_context: MakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = Scripted()
    monkeypatch.setattr(module, "open_answerer", lambda *_: scripted)
    context = make_context(recipe_of())
    rows = cold_start_rows(context, -1.0)
    assert scripted.asked == [["math-1", "logic-0"]]
    assert rows is not None
    assert [one.source for one in rows.tasks] == ["data"] * 3
    assert any("deadline" in note for note in notes(context))


def test_a_domain_without_rationales_keeps_the_few_that_were_found(
    make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open_answerer", lambda *_: Scripted())
    bare = Pool.of([task("math", 1), task("logic", 0, "So.")], ["math", "logic"])
    rows = cold_start_rows(make_context(recipe_of(), pool=bare), float("inf"))
    assert rows is not None
    assert [(one.id, one.source) for one in rows.tasks] == [("math-1", "self"), ("logic-0", "data")]


def test_without_any_row_starter_tasks_teach_the_format(
    make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open_answerer", lambda *_: Scripted())
    limits = ("rollout.max_prompt_tokens=512", "rollout.max_new_tokens=180")
    context = make_context(recipe_of(*limits), pool=Pool.of([task("logic", 1)], ["logic"]))
    rows = cold_start_rows(context, float("inf"))
    assert rows is not None
    found = rows.by_domain("train", with_rationale=True)["logic"]
    known = {one.id: one for one in load_starter("math")}
    contract = context.session.contract
    assert found
    assert all(one.source == "starter" and one.rationale == known[one.id].rationale for one in found)
    assert all(len(contract.encode_completion(one.rationale, one.answer)) <= 180 for one in found)
    assert len(found) < sum(one.split == "train" for one in known.values()), "180 tokens are too few for some"
    record = read_index(context.run.path / module.FOLDER)["record"]["domains"]["logic"]
    assert (record["origin"], record["found"], record["kept"]) == ("starter", 0, len(found))
    assert "teach the format alone" in context.display._stream.getvalue()


def test_with_the_pools_rationales_nothing_is_sampled(make_context: MakeContext) -> None:
    context = make_context(recipe_of("cold_start.source='data'"))
    assert cold_start_rows(context, 1.0) is None
    assert list(context.run.path.iterdir()) == []


def test_the_next_tasks_are_those_of_domains_with_too_few_rows() -> None:
    found = [Candidate(task_id=f"t{i}", reasoning=f"r{i}", answer="7", reward=1.0, num_tokens=5) for i in range(2)]
    tasks = {"math": [task("math", i) for i in range(6)], "logic": [task("logic", i) for i in range(3)]}
    config = recipe_of().cold_start

    def chosen(math: Sampled, logic: Sampled) -> list[str]:
        return [one.id for one in next_tasks(tasks, {"math": math, "logic": logic}, 3, BUILTIN, config)]

    assert chosen(Sampled(), Sampled()) == ["math-0", "logic-0", "math-1"]
    assert chosen(Sampled(tasks=2), Sampled(tasks=1)) == ["logic-1", "math-2", "logic-2"]
    assert chosen(Sampled(2, 8, found), Sampled(tasks=1)) == ["logic-1", "logic-2"]
    assert chosen(Sampled(2, 8, found[:1]), Sampled(tasks=3)) == ["math-2", "math-3", "math-4"]
    assert chosen(Sampled(tasks=6), Sampled(tasks=3)) == []


def test_the_worked_example_is_the_shortest_that_is_well_formed() -> None:
    contract = open_contract(recipe_of())[1]
    broken, short, long = (task("math", i, text) for i, text in enumerate(("<answer>", "Short one.", "A longer one.")))
    assert worked_example(contract, [long, short, broken]) == short
    assert worked_example(contract, [broken]) is None


@pytest.mark.parametrize(("scored_as", "name"), [("logic", "logic"), ("reference", "math")])
def test_a_pool_without_rationales_borrows_a_starter_task_of_the_same_scorer(scored_as: str, name: str) -> None:
    own = f"{{ path = 'shop.csv', domain = 'shop', scored_as = '{scored_as}' }}"
    recipe = parse_recipe_text(TEXT, ["data.domains=['shop']", f"data.sources={{ shop = {own} }}"])
    pool = Pool.of([task("shop", 0)], ["shop"])
    ((domain, one),) = worked_examples(recipe, pool, open_contract(recipe)[1]).items()
    assert (domain, one.source, one.split) == (name, "starter", "train")
    assert one.rationale


# --- answerers ------------------------------------------------------------------------------------------------------


def test_the_base_is_sampled_after_a_worked_example(make_context: MakeContext) -> None:
    recipe = recipe_of("rollout.max_new_tokens=4")
    context = make_context(recipe)
    contract = context.session.contract
    example = task("math", 0, "It is seven.")
    asks = open_answerer(context, {"math": example})
    (group,) = asks.answer([task("logic", 3)], seed=5)
    text = contract.tokenizer.decode(group.prompt_ids, keep_special=True)
    assert asks.name == "self"
    assert text.index("It is seven.") < text.index("Q3?"), "an example of another domain, where the own has none"
    assert len(group.completions) == 4
    assert asks.answer([task("logic", 3)], seed=5) == [group]
    assert asks.answer([task("logic", 3)], seed=6) != [group]
    assert asks.can_ask(task("logic", 3))
    assert not asks.can_ask(Task(id="l", domain="logic", source="s", question="long " * 9000, answer="yes"))


def test_the_base_is_asked_plainly_and_its_right_answers_are_put_into_the_format(
    make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Plain(Scripted):
        def _of(self, task: Task, seed: int) -> tuple[Completion, ...]:
            right = f"{task.id} gives {task.answer}."
            return tuple(Completion(text=text) for text in (right, "It gives 8.", "Maybe 7 or 8.", ""))

    context = make_context(recipe_of("cold_start.reading='plain'", "data.domains=['math']"), POOL_OF_MATH)
    monkeypatch.setattr(module, "open_answerer", lambda *_: Plain())
    rows = cold_start_rows(context, float("inf"))
    assert rows is not None
    assert {(one.rationale, one.answer, one.source) for one in rows.by_domain("train")["math"]} == {
        ("math-1 gives 7.", "7", "self"),
        ("math-2 gives 7.", "7", "self"),
    }
    asks = open_answerer(context, {"math": task("math", 0, "It is seven.")})
    (group,) = asks.answer([task("math", 3)], seed=5)
    text = context.session.contract.tokenizer.decode(group.prompt_ids, keep_special=True)
    assert "Q3?" in text
    assert "It is seven." not in text
    assert "reasoning" not in text, "no format is asked for"


def test_a_local_teacher_answers_in_its_own_chat_template(tmp_path: Path, make_context: MakeContext) -> None:
    folder = make_base("llama", tmp_path / "teacher")
    (folder / "chat_template.jinja").write_text("<|im_start|>")
    settings = ("cold_start.source='teacher'", f"cold_start.teacher='{folder}'", "rollout.max_new_tokens=4")
    recipe = recipe_of(*settings)
    check_teacher(recipe)
    context = make_context(recipe)
    asks = open_answerer(context, {"math": task("math", 0, "It is seven.")})
    assert isinstance(asks, PolicyAnswerer)
    (group,) = asks.answer([task("math", 1)], seed=5)
    own = asks.policy.contract
    assert own.tokenizer_identity != context.session.contract.tokenizer_identity
    text = own.tokenizer.decode(group.prompt_ids, keep_special=True)
    assert text.count("<|im_start|>user") == 2
    rows = cold_start_rows(context, float("inf"))
    assert rows is not None
    assert {one.source for one in rows.tasks} == {"data"}, "a random teacher writes nothing that can be kept"
    assert "teacher:teacher" in notes(context)[0]


def test_a_teacher_that_is_missing_is_named_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing there"):
        check_teacher(recipe_of("cold_start.source='teacher'", f"cold_start.teacher='{tmp_path / 'none'}'"))


def endpoint_recipe(url: str, *overrides: str) -> Recipe:
    return recipe_of(
        "cold_start.source='teacher'",
        f"cold_start.teacher_base_url='{url}'",
        "cold_start.teacher_model='big'",
        "cold_start.teacher_timeout_seconds=5",
        *overrides,
    )


def test_a_teacher_at_an_endpoint(make_context: MakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """One reply in four is cut; the others are right in math and wrong in logic."""
    monkeypatch.setenv("TEACHER_KEY", "sk-SECRET")

    def answer(number: int, asked: dict[str, Any]) -> CannedReply:
        text = reply(f"Teaching {asked['messages'][-1]['content'][-3:]}", "7")
        return CannedReply(text, finish="length" if number % 4 == 0 else "stop")

    with serving(answer) as fake:
        recipe = endpoint_recipe(fake.url, "cold_start.teacher_api_key_env='TEACHER_KEY'")
        check_teacher(recipe)
        context = make_context(recipe)
        rows = cold_start_rows(context, float("inf"))
    assert rows is not None
    math = rows.by_domain("train")["math"]
    assert {one.source for one in math} == {"teacher:big"}
    assert {one.rationale for one in math} == {"Teaching Q1?", "Teaching Q2?"}
    first = fake.asked[0]
    assert (first["model"], first["temperature"], first["max_tokens"]) == ("big", 1.0, 1024)
    contract: PromptContract = context.session.contract
    assert first["messages"] == [
        {"role": "user", "content": contract.user_text("Q0?")},
        {"role": "assistant", "content": reply("It is seven.", "7")},
        {"role": "user", "content": contract.user_text("Q1?")},
    ]
    assert set(fake.authorizations) == {"Bearer sk-SECRET"}
    assert fake.most_at_once <= answerer_module.CONCURRENCY
    # math-1, logic-1, math-2, logic-2, then logic-3, logic-4: four samples each
    assert fake.calls == 24


def test_a_busy_endpoint_is_asked_again_and_a_broken_one_ends_the_stage(
    make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answerer_module, "FIRST_WAIT_SECONDS", 0.01)
    tasks = [task("math", 1)]

    def ask(answer: Callable[[int, dict[str, Any]], CannedReply]) -> tuple[list[str], int]:
        with serving(answer) as fake:
            groups = EndpointAnswerer(make_context(endpoint_recipe(fake.url)), {}).answer(tasks, 0)
        return [completion.text for completion in groups[0].completions], fake.calls

    assert ask(lambda number, _: CannedReply("t", status=503 if number < 3 else 200)) == (["t"] * 4, 7)
    with pytest.raises(UserError, match=r"cold_start\.teacher_api_key_env .*--resume"):
        ask(lambda *_: CannedReply(status=401))
    with pytest.raises(UserError, match="returned 503"):
        ask(lambda *_: CannedReply(status=503))


def test_a_missing_key_is_named_before_the_run() -> None:
    recipe = endpoint_recipe("http://127.0.0.1:1/v1", "cold_start.teacher_api_key_env='NO_SUCH_KEY'")
    with pytest.raises(UserError, match=r"NO_SUCH_KEY.*cold_start\.teacher_api_key_env"):
        check_teacher(recipe)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["cold_start.source='teacher'"], "none is named"),
        (["cold_start.teacher='x'"], "source is not"),
        (["cold_start.source='teacher'", "cold_start.teacher_base_url='http://h/v1'"], "teacher_model"),
        (["cold_start.source='teacher'", "cold_start.teacher_base_url='nowhere'"], "teacher_base_url"),
        (
            [
                "cold_start.source='teacher'",
                "cold_start.teacher='x'",
                "cold_start.teacher_base_url='http://h/v1'",
                "cold_start.teacher_model='m'",
            ],
            "remove one",
        ),
    ],
)
def test_a_recipe_names_one_teacher(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        recipe_of(*overrides)


# --- a whole run ----------------------------------------------------------------------------------------------------


class Crash(Exception):
    """The machine went away."""


def train(out: Path, *, resume: bool) -> None:
    sources = [f"data.sources.{name}={source}" for name, source in short_sources(out).items()]
    recipe = recipe_of(
        *sources,
        "data.domains=['math', 'science']",
        "cold_start.batch_size=2",
        "cold_start.self_rows_per_domain=4",
        "cold_start.stop_at_format_rate=1.0",
        "checkpoint.every_steps=1",
        "grpo.max_steps=0",
        "evaluate.stages=['trained']",
        "evaluate.readings=[]",
        "evaluate.tasks_per_domain=1",
    )
    with Display(io.StringIO()) as display:
        pipeline.train(opening.TrainOptions(recipe=recipe, recipe_text=TEXT, out=out, resume=resume), display)


def files_of(out: Path) -> dict[str, bytes]:
    """The rows, and the adapter after the last step of the cold start."""
    last = list_saved(out / "checkpoints")[-1].path
    found = {path.name: path.read_bytes() for path in last.glob("*.safetensors")}
    assert found, last
    return found | {"rows": (out / module.FOLDER / "tasks.parquet").read_bytes()}


@pytest.mark.slow
def test_a_run_interrupted_in_the_sampling_and_in_the_stage_ends_with_the_same_rows_and_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "build_report", lambda path: None)
    monkeypatch.setattr(module, "open_answerer", lambda *_: Scripted())
    unbroken, broken = tmp_path / "unbroken" / "run", tmp_path / "broken" / "run"
    for out in (unbroken, broken):
        out.parent.mkdir()
    train(unbroken, resume=False)

    class Crashing(Scripted):
        def answer(self, tasks: Sequence[Task], seed: int) -> list[RolloutGroup]:
            if len(self.asked) == 2:
                raise Crash
            return super().answer(tasks, seed)

    with monkeypatch.context() as patch:
        patch.setattr(module, "open_answerer", lambda *_: Crashing())
        with pytest.raises(Crash):
            train(broken, resume=False)
    assert RunDir(broken).read_json(module.FILE)["batches"] == 2
    assert not (broken / module.FOLDER).exists()

    real = stage_module.cold_start

    def crash_after_one(*arguments: Any) -> Any:
        yield next(real(*arguments))
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(stage_module, "cold_start", crash_after_one)
        with pytest.raises(Crash):
            train(broken, resume=True)
    assert [row["step"] for row in RunDir(broken).rows()] == [1]
    train(broken, resume=True)
    assert [row["step"] for row in RunDir(broken).rows()] == [1, 2, 3]
    assert files_of(broken) == files_of(unbroken)
    assert read_index(unbroken / module.FOLDER)["record"]["domains"]["math"]["origin"] == "self"
