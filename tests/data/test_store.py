"""A pool on disk: what comes back, the same bytes for the same tasks, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from random import Random

import pytest

from thinkaloud.data import Pool
from thinkaloud.data.store import ARROW, BATCH_ROWS, INDEX, PARQUET, open_pool, read_index, verified_pool, write_pool
from thinkaloud.errors import UserError
from thinkaloud.records import SPLITS, Task

DOMAIN_ORDER = ("logic", "math", "coding")


def task(number: int, domains: tuple[str, ...] = DOMAIN_ORDER) -> Task:
    """Every field in use; a tenth held out, two thirds with a rationale."""
    domain = domains[number % len(domains)]
    return Task(
        id=md5(str(number).encode()).hexdigest()[:16],
        domain=domain,
        source=f"source {number % 2}",
        question=f"Question {number}: weiß, 水, \u2028 and a line\nfeed?",
        answer=str(number),
        rationale="" if number % 9 < 3 else f"because {number}",
        tests=(f"assert f({number})", "assert g()") if domain == "coding" else (),
        setup="import os" if domain == "coding" else "",
        choices=("one", "", "two") if number % 5 == 0 else (),
        license="MIT" if number % 2 else "CC BY 4.0",
        split=SPLITS[number % 10 - 7] if number % 10 > 7 else "train",
    )


TASKS = [task(number) for number in range(2000)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool") / "made" / "here"
    write_pool(folder, TASKS, domains=DOMAIN_ORDER, seed=1, dropped={"too long": 3}, record={"tokens": [1, 2]})
    return folder


def test_what_went_in_comes_out(folder: Path) -> None:
    pool = open_pool(folder)
    assert len(pool.tasks) == len(TASKS)
    assert {own.id: own for own in pool.tasks} == {own.id: own for own in TASKS}
    assert pool.dropped == {"too long": 3}
    assert pool.tasks[-1] == pool.tasks[1999]
    assert pool.tasks[3:6] == [pool.tasks[3], pool.tasks[4], pool.tasks[5]]
    for beyond in (2000, -2001):
        with pytest.raises(IndexError):
            pool.tasks[beyond]


def test_tasks_stand_by_domain_split_and_rationale(folder: Path) -> None:
    pool = open_pool(folder)
    places = [(DOMAIN_ORDER.index(t.domain), SPLITS.index(t.split), not t.rationale) for t in pool.tasks]
    assert places == sorted(places)
    assert pool.counts() == Pool.of(TASKS, DOMAIN_ORDER).counts()
    assert pool.ranges == Pool.of(TASKS, DOMAIN_ORDER).ranges
    for split in SPLITS:
        assert {t.id for t in pool.split(split)} == {t.id for t in TASKS if t.split == split}
        for name, own in pool.by_domain(split, with_rationale=True).items():
            assert {t.id for t in own} == {t.id for t in TASKS if (t.domain, t.split) == (name, split) and t.rationale}


def test_the_index_says_what_is_there(folder: Path) -> None:
    index = read_index(folder)
    assert index["num_tasks"] == 2000
    assert index["record"] == {"tokens": [1, 2]}
    expected = sum((t.domain, t.source, t.split) == ("math", "source 1", "test") for t in TASKS)
    assert index["sources"]["math"]["source 1"]["test"] == expected > 0
    assert index["licenses"] == {"MIT": {"source 1": 1000}, "CC BY 4.0": {"source 0": 1000}}
    assert sorted(path.name for path in folder.iterdir()) == sorted([ARROW, PARQUET, INDEX])


def test_any_tool_reads_the_parquet_file(folder: Path) -> None:
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / PARQUET).to_pylist()
    pool = open_pool(folder)
    assert [row["id"] for row in rows] == [t.id for t in pool.tasks]
    row, own = rows[-1], pool.tasks[-1]
    assert row == {name: list(v) if isinstance(v := getattr(own, name), tuple) else v for name in row}


def test_the_same_tasks_in_any_order_are_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    mixed = TASKS.copy()
    Random(0).shuffle(mixed)
    write_pool(tmp_path, iter(mixed), domains=DOMAIN_ORDER, seed=1, dropped={"too long": 3}, record={"tokens": [1, 2]})
    for name in (ARROW, PARQUET, INDEX):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_another_seed_is_another_order(folder: Path, tmp_path: Path) -> None:
    other = write_pool(tmp_path, TASKS, domains=DOMAIN_ORDER, seed=2)
    pool = open_pool(folder)
    assert [t.id for t in other.tasks] != [t.id for t in pool.tasks]
    assert other.counts() == pool.counts()


def test_more_than_one_batch_and_row_group(tmp_path: Path) -> None:
    count = 4 * BATCH_ROWS + 5
    pool = write_pool(tmp_path, (task(n, ("math",)) for n in range(count)), domains=("math",), seed=0)
    assert len({t.id for t in pool.tasks}) == count
    assert pool.tasks[BATCH_ROWS] != pool.tasks[0]


def test_no_tasks_are_a_pool_too(tmp_path: Path) -> None:
    pool = write_pool(tmp_path, [], domains=DOMAIN_ORDER, seed=0)
    assert len(pool.tasks) == 0
    assert pool.counts() == {}


def test_two_tasks_of_one_id_are_a_mistake_of_the_builder(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="one id"):
        write_pool(tmp_path, [TASKS[0], TASKS[0]], domains=DOMAIN_ORDER, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_a_build_that_breaks_off_leaves_the_pool_that_was_there(tmp_path: Path) -> None:
    write_pool(tmp_path, TASKS[:10], domains=DOMAIN_ORDER, seed=0)

    def broken() -> Iterator[Task]:
        yield TASKS[11]
        raise OSError("the source is gone")

    with pytest.raises(OSError, match="gone"):
        write_pool(tmp_path, broken(), domains=DOMAIN_ORDER, seed=0)
    assert {t.id for t in open_pool(tmp_path).tasks} == {t.id for t in TASKS[:10]}
    verified_pool(tmp_path)


class TestRefused:
    @pytest.fixture
    def small(self, tmp_path: Path) -> Path:
        write_pool(tmp_path, TASKS[:50], domains=DOMAIN_ORDER, seed=0)
        return tmp_path

    def test_no_pool(self, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "nowhere"):
            with pytest.raises(UserError, match=r"no pool\.json"):
                open_pool(path)

    @pytest.mark.parametrize("name", [ARROW, PARQUET])
    def test_cut_short(self, small: Path, name: str) -> None:
        whole = (small / name).read_bytes()
        (small / name).write_bytes(whole[:-1])
        with pytest.raises(UserError, match=rf"{name}.*{len(whole)} bytes.*{len(whole) - 1} bytes"):
            open_pool(small)
        (small / name).unlink()
        with pytest.raises(UserError, match="no such file"):
            open_pool(small)

    def test_another_version(self, small: Path) -> None:
        index = json.loads((small / INDEX).read_text())
        (small / INDEX).write_text(json.dumps({**index, "version": 2}))
        with pytest.raises(UserError, match=r"version 1.*found 2"):
            open_pool(small)

    @pytest.mark.parametrize("text", ["[]", "{}", '{"counts": {}}'])
    def test_another_json(self, small: Path, text: str) -> None:
        (small / INDEX).write_text(text)
        with pytest.raises(UserError, match="index of a task pool"):
            open_pool(small)

    def test_an_index_cut_short(self, small: Path) -> None:
        (small / INDEX).write_text((small / INDEX).read_text()[:100])
        with pytest.raises(UserError, match=r"pool\.json"):
            open_pool(small)

    def test_changed_bytes(self, small: Path) -> None:
        verified_pool(small)
        changed = bytearray((small / PARQUET).read_bytes())
        changed[100] ^= 1
        (small / PARQUET).write_bytes(changed)
        open_pool(small)
        with pytest.raises(UserError, match=r"tasks\.parquet.*SHA-256"):
            verified_pool(small)


MILLION = """
import re, sys, time
from dataclasses import replace
from pathlib import Path
from thinkaloud.data import Mixture
from thinkaloud.data.store import open_pool, write_pool
from thinkaloud.domains import BUILTIN
from thinkaloud.records import Task

DOMAINS = tuple(BUILTIN)
folder, template = Path(sys.argv[1]), Task(id="", domain="", source="s", question="x" * 200, answer="y" * 100)

def own_mebibytes():  # of this process, pages of files not counted
    return int(re.findall(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[0]) / 1024

def tasks():
    for number in range(1_000_000):
        domain, split = DOMAINS[number % 11 % 7], "train" if number % 20 else "test"
        yield replace(template, id=f"{number:016x}", domain=domain, split=split)

before = own_mebibytes()
assert len(write_pool(folder, tasks(), domains=DOMAINS, seed=0).tasks) == 1_000_000
written = own_mebibytes()
assert written - before < 1200, f"{written - before} MiB to write"

begin = time.process_time()
pool = open_pool(folder)
opened = time.process_time()
assert opened - begin < 1, f"{opened - begin} s to open"
mixture = Mixture(pool.by_domain("train"), exponent=0.5, seed=0)
late = mixture.tasks(1_000_000, 8)
begin = time.process_time()
early = [mixture.tasks(step, 8) for step in range(1000)]
assert time.process_time() - begin < 3, f"{time.process_time() - begin} ms a step"
assert own_mebibytes() - written < 60, f"{own_mebibytes() - written} MiB to read"
ids = [task.id for own in early for task in own]
assert len(set(ids)) == len(ids), "each once before any repeats"
assert Mixture(open_pool(folder).by_domain("train"), exponent=0.5, seed=0).tasks(1_000_000, 8) == late
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_a_million_tasks_open_at_once_and_are_read_as_they_are_drawn(tmp_path: Path) -> None:
    """In a process of its own: nothing else there, and no checks of types a million times over."""
    run = subprocess.run([sys.executable, "-c", MILLION, str(tmp_path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / ARROW).stat().st_size > 300 * 2**20
