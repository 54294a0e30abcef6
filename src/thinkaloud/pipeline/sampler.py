"""The sampler of a run's rollouts, where the recipe names vLLM: its checks, its base weights, its server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from thinkaloud.config import Recipe
from thinkaloud.distributed.agreement import alone
from thinkaloud.errors import UserError
from thinkaloud.export.bundle import Bundle
from thinkaloud.export.hf import DTYPES, write_hf
from thinkaloud.judge import read_key
from thinkaloud.model.precision import weights_dtype
from thinkaloud.model.weights import load_config
from thinkaloud.rollout.policy import Policy
from thinkaloud.rollout.vllm import VllmSampler
from thinkaloud.rollout.vllm.started import StartedServer, check_python, server_arguments, socket_folder
from thinkaloud.session.session import Session
from thinkaloud.storage.run_directory import RunDir
from thinkaloud.storage.staging import new_folder

FOLDER = "vllm"
"""Folder of a run directory while its server runs: base weights and adapters."""
LOG = "vllm-server.log"
"""File of a run directory: the output of its server."""


def check_sampler(recipe: Recipe) -> None:
    """Check before long work that the sampler which the recipe names can be started.

    Raises:
        UserError: It cannot.
    """
    if recipe.rollout.engine != "vllm":
        return
    if not alone():
        raise UserError(
            'rollout.engine = "vllm" needs a single process, found several; let one process learn, and give it several '
            "servers with vllm.urls"
        )
    _key(recipe)
    if not recipe.vllm.urls:
        check_python(recipe.vllm.python)


@contextmanager
def open_sampler(
    session: Session,
    policy: Policy,
    folder: Path,
    note: Callable[[str], None],
    poll: Callable[[], None] = lambda: None,
) -> Iterator[VllmSampler | None]:
    """The vLLM sampler of a recipe, closed on exit; None for the JAX sampler.

    Given servers are checked now; a server of our own is started when it is needed.

    Args:
        folder: The run directory.
        note: Receives one line per event.
        poll: Called while completions are waited for; if it raises, sampling ends.

    Raises:
        UserError: A given server cannot be used.
    """
    recipe = session.recipe
    if recipe.rollout.engine != "vllm":
        yield None
        return
    place = folder / FOLDER
    shutil.rmtree(place, ignore_errors=True)  # of a session that was killed
    with socket_folder() as short:
        sampler = VllmSampler(
            recipe.vllm,
            policy.model.config,
            alpha=recipe.lora.alpha,
            folder=place,
            start=None if recipe.vllm.urls else lambda: _server(session, policy, folder, short / "socket"),
            key=_key(recipe),
            note=note,
            poll=poll,
        )
        try:
            if recipe.vllm.urls:
                sampler.sync(session.new_adapter(policy))
                sampler.check(session.contract.encode("1"))
                note(f"vLLM: sampling at {', '.join(recipe.vllm.urls)}")
            yield sampler
        finally:
            sampler.close()
            shutil.rmtree(place, ignore_errors=True)


def _server(session: Session, policy: Policy, folder: Path, socket: Path) -> StartedServer:
    """A server of the run's base weights, which are written for it."""
    recipe, dtype = session.recipe, weights_dtype(policy.model.params).name
    base = Bundle(
        run=RunDir(folder),
        stage="base",
        recipe=recipe,
        files=session.files,
        config=load_config(session.files),
        contract=session.contract,
        adapter={},
    )
    with new_folder(folder / FOLDER / "base", "the base for vLLM") as temporary:
        write_hf(base, dtype if dtype in DTYPES else "float32", temporary)
    arguments = server_arguments(
        (folder / FOLDER / "base").absolute(),
        socket,
        rank=recipe.lora.rank,
        dtype=dtype,
        max_tokens=recipe.rollout.max_prompt_tokens + recipe.rollout.max_new_tokens,
        on_cpu=jax.default_backend() == "cpu",
        args=recipe.vllm.args,
    )
    command = [check_python(recipe.vllm.python), "-m", "vllm.entrypoints.openai.api_server", *arguments]
    return StartedServer(command, socket, (folder / LOG).absolute())


def _key(recipe: Recipe) -> str | None:
    return read_key(recipe.vllm.api_key_env, "vllm.", "urls")
