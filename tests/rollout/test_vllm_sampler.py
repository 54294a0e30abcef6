"""The vLLM sampler against a stand-in server: its requests, its adapters, and every failure that has a name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from support import vllm_server
from support.vllm_server import Fault, Standin, by_model, serving
from thinkaloud.config.vllm import VllmConfig
from thinkaloud.model.config import ModelConfig, tiny_config
from thinkaloud.model.load import Model
from thinkaloud.model.lora import Adapter, init_adapter
from thinkaloud.rollout import Sampler, generate
from thinkaloud.rollout.sampler import JaxSampler, SamplerFailed
from thinkaloud.rollout.sampling import GREEDY, Sampling
from thinkaloud.rollout.vllm import VllmSampler
from thinkaloud.rollout.vllm import sampler as module
from thinkaloud.rollout.vllm.started import StartedServer, server_arguments, socket_folder
from thinkaloud.seeding import derive_seed

PROMPTS = ((5, 6, 7), (8, 9, 10, 11))
SAMPLING = Sampling(temperature=0.8, top_k=0, top_p=1.0)
STOPS = (1,)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)


def moved_adapter(seed: int = 0) -> Adapter:
    """An adapter whose B is not zero."""
    adapter = init_adapter(tiny_config(), 2, ("q", "v", "down"), seed=seed)
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: np.asarray(x) + 0.05 * rng.standard_normal(x.shape).astype(np.float32), adapter)


@contextmanager
def opened(
    folder: Path,
    *standins: Standin,
    start: Callable[[], StartedServer] | None = None,
    model: ModelConfig | None = None,
    poll: Callable[[], None] = lambda: None,
    key: str | None = None,
    **fields: Any,
) -> Iterator[VllmSampler]:
    config = VllmConfig(
        urls=tuple(one.url for one in standins), **{"timeout_seconds": 300.0, "max_retries": 2, **fields}
    )
    sampler = VllmSampler(
        config, model or tiny_config(), alpha=4.0, folder=folder / "adapters", start=start, poll=poll, key=key
    )
    try:
        yield sampler
    finally:
        sampler.close()


def ask(sampler: Sampler, group_size: int = 3, max_new_tokens: int = 6, **fields: Any) -> Any:
    options: dict[str, Any] = {"sampling": SAMPLING, "stop_ids": STOPS, "seed": 7, **fields}
    return sampler.sample(PROMPTS, group_size=group_size, max_new_tokens=max_new_tokens, **options)


def failing(times: int, fault: Fault) -> Callable[[str, dict[str, Any]], Fault | None]:
    """The fault for so many requests of completions; the next ones are answered."""
    left, lock = [times], threading.Lock()

    def of(path: str, body: dict[str, Any]) -> Fault | None:
        with lock:
            if path != "/v1/completions" or body["max_tokens"] == 1 or not left[0]:
                return None
            left[0] -= 1
            return fault

    return of


class TestTheModelItself:
    def test_rows_are_those_of_generate_with_their_own_seeds(self, tiny_model: Model, tmp_path: Path) -> None:
        adapter = moved_adapter()
        with serving(by_model(tiny_model)) as standin, opened(tmp_path, standin, model=tiny_model.config) as sampler:
            sampler.sync(adapter)
            found = ask(sampler, group_size=2)
        for index, (prompt, members) in enumerate(zip(PROMPTS, found, strict=True)):
            for member, sampled in enumerate(members):
                ((expected,),) = generate(
                    tiny_model,
                    adapter,
                    [prompt],
                    group_size=1,
                    max_new_tokens=6,
                    sampling=SAMPLING,
                    stop_ids=STOPS,
                    seed=derive_seed(7, "row", index, member),
                    scale=2.0,
                )
                assert sampled.token_ids == expected.token_ids
                assert sampled.finish is expected.finish
                np.testing.assert_allclose(sampled.logprobs, expected.logprobs, atol=1e-5)
                assert sampled.sampled_logprobs == sampled.logprobs
                assert sampled.adapter == module.adapter_name(adapter, 4.0)

    def test_greedy_completions_are_the_jax_samplers(self, tiny_model: Model, tmp_path: Path) -> None:
        adapter, jax_sampler = moved_adapter(1), JaxSampler(tiny_model, 2.0)
        jax_sampler.sync(adapter)
        expected = ask(jax_sampler, group_size=1, sampling=GREEDY)
        with serving(by_model(tiny_model)) as standin, opened(tmp_path, standin, model=tiny_model.config) as sampler:
            sampler.sync(adapter)
            found = ask(sampler, group_size=1, sampling=GREEDY)
        assert [one.token_ids for (one,) in found] == [one.token_ids for (one,) in expected]


class TestRequests:
    def test_every_row_is_one_request_with_its_own_seed(self, tmp_path: Path) -> None:
        with serving() as standin, opened(tmp_path, standin) as sampler:
            found = ask(sampler, sampling=Sampling(temperature=0.7, top_k=9, top_p=0.8))
        assert [len(group) for group in found] == [3, 3]
        assert len(standin.completions) == len({body["seed"] for body in standin.completions}) == 6
        assert {tuple(body["prompt"]) for body in standin.completions} == set(PROMPTS)
        for body in standin.completions:
            assert (body["temperature"], body["top_k"], body["top_p"]) == (0.7, 9, 0.8)
            assert (body["stop_token_ids"], body["ignore_eos"], body["model"]) == ([1], True, "base")

    def test_the_same_seed_gives_the_same_completions(self, tmp_path: Path) -> None:
        with serving() as standin, opened(tmp_path, standin) as sampler:
            assert ask(sampler) == ask(sampler)
            assert ask(sampler) != ask(sampler, seed=8)

    def test_rows_are_balanced_over_servers(self, tmp_path: Path) -> None:
        slow = lambda path, body: Fault(seconds=0.05)  # noqa: E731
        with serving(fault=slow) as one, serving(fault=slow) as other, opened(tmp_path, one, other) as sampler:
            ask(sampler, group_size=4)
        assert (len(one.completions), len(other.completions)) == (4, 4)

    def test_adapters_are_swapped_by_name_and_old_ones_unloaded(self, tmp_path: Path) -> None:
        names = []
        with serving() as standin, opened(tmp_path, standin) as sampler:
            for seed in (0, 1, 1):
                sampler.sync(moved_adapter(seed))
                names.append(ask(sampler)[0][0].adapter)
                assert list(standin.adapters) == [names[-1]]
                assert [path.name for path in (tmp_path / "adapters").iterdir()] == [names[-1]]
            sampler.sync({})
            assert ask(sampler)[0][0].adapter == ""
        assert names[0] != names[1] == names[2]
        assert standin.adapters == {}
        assert list((tmp_path / "adapters").iterdir()) == []

    def test_an_adapter_that_the_server_has_already_is_used(self, tmp_path: Path) -> None:
        with serving() as standin, opened(tmp_path, standin) as sampler:
            adapter = moved_adapter()
            sampler.sync(adapter)
            name = module.adapter_name(adapter, 4.0)
            standin.adapters[name] = tmp_path / "adapters" / name
            assert ask(sampler)[0][0].adapter == name


FAULTS = {
    "a time-out": Fault(seconds=3.0),
    "a broken connection": Fault(hang_up=True),
    "a server error": Fault(status=500, body=b'{"error": {"message": "EngineCore encountered an issue"}}'),
    "too many requests": Fault(status=429),
    "an unreadable reply": Fault(body=b'{"choices": [{"token_ids": [1, 2'),
    "a reply without a completion": Fault(change=lambda found: {**found, "choices": []}),
    "an aborted completion": Fault(change=lambda found: changed(found, finish_reason="abort")),
    "a cut completion": Fault(
        change=lambda found: changed(found, token_ids=[2], logprobs={"token_logprobs": [-1.0]}, finish_reason="length")
    ),
}


def changed(found: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**found, "choices": [{**found["choices"][0], **fields}]}


class TestFailuresThatARetryCures:
    @pytest.mark.parametrize("name", FAULTS)
    def test_the_completions_are_the_same(self, name: str, tmp_path: Path) -> None:
        short = {"timeout_seconds": 2.0} if name == "a time-out" else {}
        with serving() as standin, opened(tmp_path, standin, max_retries=6, **short) as sampler:
            expected = ask(sampler, stop_ids=())
            standin.fault = failing(2, FAULTS[name])
            assert ask(sampler, stop_ids=()) == expected
        assert len(standin.completions) >= 6 + 8

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("a time-out", "no reply within vllm.timeout_seconds = 0.2"),
            ("a server error", "EngineCore encountered an issue"),
            ("an unreadable reply", "unreadable"),
        ],
    )
    def test_a_failure_that_stays_ends_the_call(self, name: str, words: str, tmp_path: Path) -> None:
        short = {"timeout_seconds": 0.2} if name == "a time-out" else {}
        with serving() as standin, opened(tmp_path, standin, **short) as sampler:
            standin.fault = failing(1000, FAULTS[name])
            with pytest.raises(SamplerFailed, match=words) as caught:
                ask(sampler, group_size=1)
        assert all(word in str(caught.value) for word in (standin.url, "3 attempts", "--resume"))

    def test_the_rows_of_a_lost_server_go_to_another_and_the_next_call_names_it(self, tmp_path: Path) -> None:
        with serving() as one, serving() as other, opened(tmp_path, one, other) as sampler:
            expected = ask(sampler)
            one.fault = lambda path, body: Fault(hang_up=True)
            assert ask(sampler) == expected
            one.close()
            sampler.sync(moved_adapter())
            with pytest.raises(SamplerFailed, match=one.url):
                ask(sampler)

    def test_a_restarted_server_gets_the_adapter_again(self, tmp_path: Path) -> None:
        with serving() as standin, opened(tmp_path, standin) as sampler:
            sampler.sync(moved_adapter())
            expected = ask(sampler)
            standin.adapters.clear()
            assert ask(sampler) == expected


SENT = {
    "another model": (lambda found: {**found, "model": "base"}, "answered with 'base'"),
    "other prompt ids": (lambda found: changed(found, prompt_token_ids=[5, 6]), "sampled from 2 tokens"),
    "no prompt ids": (lambda found: changed(found, prompt_token_ids=None), "sampled from no tokens"),
    "no token ids": (lambda found: changed(found, token_ids=None), "returned no tokens"),
    "no log-probabilities": (lambda found: changed(found, logprobs=None), "no tokens of log-probabilities"),
    "too few log-probabilities": (
        lambda found: changed(found, logprobs={"token_logprobs": [-1.0]}),
        "one each for every sampled token",
    ),
    "a log-probability that is no number": (
        lambda found: changed(found, token_ids=[2] * 6, logprobs={"token_logprobs": [float("nan")] * 6}),
        "no sampled token can have",
    ),
    "an impossible log-probability": (
        lambda found: changed(found, token_ids=[2] * 6, logprobs={"token_logprobs": [-9999.0] * 6}),
        "no sampled token can have",
    ),
    "a token of another vocabulary": (
        lambda found: changed(found, token_ids=[10**6] * 6, logprobs={"token_logprobs": [-1.0] * 6}),
        "serves another model",
    ),
}


class TestFailuresThatEndTheCall:
    @pytest.mark.parametrize("name", SENT)
    def test_a_reply_that_cannot_be_right_is_named(self, name: str, tmp_path: Path) -> None:
        change, words = SENT[name]
        with serving() as standin, opened(tmp_path, standin) as sampler:
            sampler.sync(moved_adapter())
            standin.fault = failing(1000, Fault(change=change))
            with pytest.raises(SamplerFailed, match=words) as caught:
                ask(sampler)
        assert standin.url in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_an_ignored_adapter(self, tmp_path: Path) -> None:
        with serving(ignores=True) as standin, opened(tmp_path, standin) as sampler:
            sampler.sync(moved_adapter())
            with pytest.raises(SamplerFailed, match="ignores the adapter"):
                ask(sampler)
        assert standin.completions == []

    def test_an_adapter_too_small_to_show_is_not_called_ignored(self, tmp_path: Path) -> None:
        def blind(body: dict[str, Any], adapter: Path | None) -> tuple[list[int], list[float]]:
            from thinkaloud.model.peft_reader import read_peft

            pairs = read_peft(adapter / "adapter_model.safetensors", tiny_config()) if adapter else {}
            shows = any(float(np.abs(pair["b"]).max()) > 0.1 for pair in pairs.values())
            return vllm_server.by_hash(body, adapter if shows else None)

        tiny = jax.tree.map(lambda x: x * np.float32(1e-4), moved_adapter())
        with serving(blind) as standin, opened(tmp_path, standin) as sampler:
            sampler.sync(tiny)
            assert len(ask(sampler)) == 2
        assert standin.adapters == {}

    def test_an_adapter_whose_b_is_zero_need_not_show(self, tmp_path: Path) -> None:
        with serving(ignores=True) as standin, opened(tmp_path, standin) as sampler:
            sampler.sync(init_adapter(tiny_config(), 2, ("q",), seed=0))
            assert len(ask(sampler)) == 2

    def test_log_probabilities_from_before_top_k(self, tmp_path: Path) -> None:
        def raw(body: dict[str, Any], adapter: Path | None) -> tuple[list[int], list[float]]:
            return vllm_server.by_hash({**body, "top_k": 0}, adapter)

        with (
            serving(raw) as standin,
            opened(tmp_path, standin) as sampler,
            pytest.raises(SamplerFailed, match="processed_logprobs"),
        ):
            ask(sampler)

    def test_a_server_without_the_routes_for_adapters(self, tmp_path: Path) -> None:
        with serving(loads=False) as standin, opened(tmp_path, standin) as sampler:
            sampler.sync(moved_adapter())
            with pytest.raises(SamplerFailed, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
                sampler.check(PROMPTS[0])

    def test_a_server_that_does_not_see_the_folder(self, tmp_path: Path) -> None:
        with serving() as standin, opened(tmp_path, standin) as sampler:
            sampler.sync(moved_adapter())
            for path in (tmp_path / "adapters").rglob("*.json"):
                path.unlink()
            with pytest.raises(SamplerFailed, match="shared file system"):
                sampler.check(PROMPTS[0])

    def test_a_refused_request(self, tmp_path: Path) -> None:
        refusal = Fault(status=400, body=b'{"error": {"message": "max_tokens=6 cannot be greater"}}')
        with serving() as standin, opened(tmp_path, standin) as sampler:
            standin.fault = failing(1000, refusal)
            with pytest.raises(SamplerFailed, match="max_tokens=6 cannot be greater"):
                ask(sampler)

    def test_keys(self, tmp_path: Path) -> None:
        with serving(key="k") as standin:
            with opened(tmp_path, standin, key="k") as sampler:
                assert len(ask(sampler)) == 2
            with opened(tmp_path, standin) as sampler, pytest.raises(SamplerFailed, match="api_key_env"):
                ask(sampler)

    def test_an_address_without_a_server(self, tmp_path: Path) -> None:
        with serving() as standin:
            pass
        with opened(tmp_path, standin) as sampler, pytest.raises(SamplerFailed, match=standin.url):
            sampler.check(PROMPTS[0])

    def test_the_poll_ends_a_call_that_waits(self, tmp_path: Path) -> None:
        class Stopped(Exception):
            pass

        def poll() -> None:
            raise Stopped

        with ExitStack() as stack:
            standin = stack.enter_context(serving(fault=lambda path, body: Fault(seconds=3.0)))
            sampler = stack.enter_context(opened(tmp_path, standin, poll=poll))
            with pytest.raises(Stopped):
                ask(sampler)
        assert standin.completions == []


def started(folder: Path, *arguments: str) -> StartedServer:
    """The stand-in as a program."""
    command = [sys.executable, "-S", vllm_server.__file__, "--uds", str(folder / "socket"), *arguments]
    return StartedServer(command, folder / "socket", folder / "server.log")


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room for the name of a socket."""
    with socket_folder() as folder:
        yield folder


class TestAStartedServer:
    def test_it_is_started_once_and_ended(self, short_path: Path, tmp_path: Path) -> None:
        server = started(short_path)
        with opened(tmp_path, start=lambda: server) as sampler:
            assert not server.running
            sampler.sync(moved_adapter())
            assert ask(sampler) == ask(sampler)
            assert server.running
            assert sampler.restarts == 0
        assert not server.running

    def test_killed_in_a_step_it_is_started_again_and_gives_the_same(self, short_path: Path, tmp_path: Path) -> None:
        with serving() as standin, opened(tmp_path / "given", standin) as sampler:
            sampler.sync(moved_adapter())
            expected = ask(sampler)
        server, pids = started(short_path, "--slow", "0.6"), []

        def kill_the_first() -> None:
            pid = server.pid
            busy = sampler._clients and sampler._clients[0].in_flight and sampler._checked
            if pid and busy and not pids:
                pids.append(pid)
                os.kill(pid, signal.SIGKILL)

        with opened(tmp_path, start=lambda: server, poll=kill_the_first) as sampler:
            sampler.sync(moved_adapter())
            assert ask(sampler) == expected
            assert sampler.restarts == 1
            assert pids
            assert server.pid not in pids

    def test_one_that_keeps_dying_ends_the_call(self, short_path: Path, tmp_path: Path) -> None:
        server = started(short_path, "--slow", "0.6")

        def kill() -> None:
            if server.running and sampler._clients[0].in_flight and sampler._checked:
                os.kill(server.pid or 0, signal.SIGKILL)

        with (
            opened(tmp_path, start=lambda: server, poll=kill) as sampler,
            pytest.raises(SamplerFailed, match="ended by signal 9, after 3 restarts"),
        ):
            ask(sampler)

    def test_one_that_does_not_start_shows_its_error(self, short_path: Path, tmp_path: Path) -> None:
        with (
            opened(tmp_path, start=lambda: started(short_path, "--fail")) as sampler,
            pytest.raises(SamplerFailed, match="ValueError: no memory for the cache") as caught,
        ):
            ask(sampler)
        assert all(word in str(caught.value) for word in ("exit code 1", "server.log"))

    def test_one_that_never_answers(self, short_path: Path, tmp_path: Path) -> None:
        sleep = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
        waits = StartedServer(sleep, short_path / "socket", short_path / "log")
        with (
            opened(tmp_path, start=lambda: waits, start_seconds=0.3) as sampler,
            pytest.raises(SamplerFailed, match="start_seconds = 0"),
        ):
            ask(sampler)
        assert not waits.running

    @pytest.mark.skipif(sys.platform != "linux", reason="the kernel signals the server only on Linux")
    def test_it_ends_with_a_process_that_is_killed(self, short_path: Path) -> None:
        code = (
            "import os, sys\nfrom pathlib import Path\n"
            "from thinkaloud.rollout.vllm.started import StartedServer\n"
            f"server = StartedServer([sys.executable, '-S', '-c', 'import time; time.sleep(60)'], Path('unused'), "
            f"Path({str(short_path / 'log')!r}))\n"
            "server.start()\nprint(server.pid, flush=True)\nos.kill(os.getpid(), 9)"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        pid = int(ended.stdout)
        for _ in range(200):
            if not Path(f"/proc/{pid}").exists() or "zombie" in Path(f"/proc/{pid}/status").read_text():
                break
            time.sleep(0.05)
        else:
            os.kill(pid, signal.SIGKILL)
            pytest.fail("the server outlived the process that started it")

    def test_the_cause_is_found_in_its_log(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        server = StartedServer(["vllm"], tmp_path / "socket", log)
        assert server.last_line() == "no output"
        log.write_text(
            "INFO ready\nERROR RuntimeError: no offset\nERROR vllm.EngineDeadError: see above\n"
            'INFO "POST /v1/completions HTTP/1.1" 500 Internal Server Error\nnanobind: leaked\n'
        )
        assert server.last_line() == "ERROR RuntimeError: no offset"
        log.write_text("INFO ready\nbye\n")
        assert server.last_line() == "bye"

    @pytest.mark.parametrize("on_cpu", [True, False])
    def test_its_arguments(self, on_cpu: bool) -> None:
        sizes: Any = {"rank": 9, "dtype": "float32", "max_tokens": 300}
        found = server_arguments(Path("/b"), Path("/s"), **sizes, on_cpu=on_cpu, args=["--x"])
        assert ("--no-enable-chunked-prefill" in found) == on_cpu
        assert found[found.index("--max-lora-rank") + 1] == "16"
        assert found[found.index("--max-model-len") + 1] == "300"
        assert found[found.index("--logprobs-mode") + 1] == "processed_logprobs"
        assert found[-1] == "--x"
