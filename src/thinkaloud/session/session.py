"""A session: the model's files, its tokenizer, the prompt contract and the task pool of a recipe.

Opening a session checks everything that can be checked without the weights, and writes nothing but the pool of a new
run.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax

from thinkaloud.config import Recipe
from thinkaloud.data import Pool
from thinkaloud.data.build import place_pool
from thinkaloud.data.curate import Progress
from thinkaloud.data.store import POOL_FILES, open_pool
from thinkaloud.distributed.agreement import alone, from_first, gather, is_first, require_same
from thinkaloud.errors import UserError
from thinkaloud.fetch.models import ModelFiles, models_cache
from thinkaloud.model.config import ModelConfig
from thinkaloud.model.load import load_model
from thinkaloud.model.lora import Adapter, init_adapter
from thinkaloud.model.packed import Buckets, common_prefix
from thinkaloud.model.precision import base_dtype
from thinkaloud.model.sharding import mesh_of, place
from thinkaloud.prompt.contract import PromptContract
from thinkaloud.prompt.from_recipe import open_contract
from thinkaloud.rollout.policy import Policy
from thinkaloud.seeding import derive_seed
from thinkaloud.session.footprint import footprint_of


@dataclass(frozen=True, slots=True)
class Session:
    """A recipe with its model's files, contract and pool."""

    recipe: Recipe
    files: ModelFiles
    contract: PromptContract
    pool: Pool

    def load_policy(self, teacher: ModelConfig | None = None) -> Policy:
        """Read the weights.

        Args:
            teacher: The shape of a teacher whose weights will be on the device too.

        Raises:
            UserError: The weights are missing, incomplete or of an unsupported architecture, or the token limits exceed
                the model's positions.
        """
        keep_compiled()
        lora, rollout = self.recipe.lora, self.recipe.rollout
        model = load_model(self.files, self.recipe.model.dtype, self.recipe.mesh_sizes)
        if rollout.max_prompt_tokens + rollout.max_new_tokens > model.config.max_position:
            raise UserError(
                f"expected rollout.max_prompt_tokens + rollout.max_new_tokens of at most {model.config.max_position} "
                f"(the positions of {self.files.name!r}), found {rollout.max_prompt_tokens + rollout.max_new_tokens}; "
                "lower one of them"
            )
        prefix = common_prefix([self.contract.encode(question) for question in ("A", "1", "?")])
        buckets = Buckets.of(jax.default_backend(), rollout.max_prompt_tokens, prefix)
        mesh = mesh_of(model.params)
        footprint = footprint_of(self.recipe, model.config, jax.default_backend(), mesh, teacher)
        return Policy(model, self.contract, lora.alpha / lora.rank, buckets, footprint=footprint)

    def new_adapter(self, policy: Policy) -> Adapter:
        """A fresh adapter of the recipe's shape."""
        lora = self.recipe.lora
        config, seed = policy.model.config, derive_seed(self.recipe.seed, "adapter")
        return place(init_adapter(config, lora.rank, lora.targets, seed), mesh_of(policy.model.params), config)


def keep_compiled() -> None:
    """Set JAX's persistent compilation cache, so that the next run of the same shapes starts faster.

    If the user has set JAX_COMPILATION_CACHE_DIR, it is not changed.
    """
    settings: Any = jax.config
    if not settings.jax_compilation_cache_dir:
        settings.update("jax_compilation_cache_dir", str(models_cache().parent / "compiled"))


def open_session(
    recipe: Recipe,
    place: Path,
    *,
    given: Path | None = None,
    note: Callable[[str], None] = lambda text: None,
    progress: Progress = lambda done, total, label: None,
) -> Session:
    """Fetch the model's files, and build the recipe's pool or copy an existing one.

    Of several processes, the primary builds the pool and sends the others a copy, so that they need no sources.

    Args:
        place: The folder of the pool; a separate one for each process.
        given: A pool that `thinkaloud data` built; built here if absent.
        note: Receives one line per slow operation or warning.
        progress: Receives (done, total, label) while the pool is built; a total of 0 means unknown.

    Raises:
        UserError: The model, a source or the given pool cannot be used.
    """
    files, contract = open_contract(recipe, note)
    pool = place_pool(recipe, contract, place, given=given, progress=progress, note=note) if is_first() else None
    copy_from_first(place, POOL_FILES)
    return Session(recipe, files, contract, open_pool(place) if pool is None else pool)


def copy_from_first(folder: Path, names: Sequence[str]) -> None:
    """Copy files of the primary process's `folder` to the `folder` of every other process."""
    if alone():
        return
    for name in names:
        content = from_first(partial(_read_base64, folder / name))
        if not is_first():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(base64.b64decode(content))


def _read_base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def check_same_session(session: Session) -> None:
    """Raises UserError if the processes of a run have different models, dtypes or prompt contracts."""
    weights = [[path.name, path.stat().st_size] for path in session.files.weights]
    model = [session.files.name, *weights, session.files.adapter and session.files.adapter.name]
    dtype = base_dtype(session.recipe.model.dtype)
    settings = {"the model's files": model, "model.dtype on its device": dtype}
    require_same(gather({**settings, "the prompt contract": session.contract.fingerprint}))
