"""Memory estimates against the compiler's analysis of the same programs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thinkaloud.config import Recipe
from thinkaloud.config.load import load_recipe
from thinkaloud.model.config import ModelConfig, tiny_config
from thinkaloud.model.head import chunk_size
from thinkaloud.model.layout import num_parameters, parameters
from thinkaloud.model.lora import TARGETS, projection_shapes
from thinkaloud.model.packed import pack
from thinkaloud.rollout.decode import State, decode, decoding_weights, empty_cache
from thinkaloud.rollout.sampling import Sampling, key_of
from thinkaloud.session.footprint import adapter_bytes, footprint_of
from thinkaloud.train.learner import PerToken, grpo_gradients
from thinkaloud.train.loss import Objective
from thinkaloud.train.memory import available_memory, device_memory, estimate_memory

MakeRecipe = Callable[..., Recipe]
Shape = jax.ShapeDtypeStruct
RANK = 2
AS_IN_A_RUN = {"xla_cpu_use_fusion_emitters": True}  # not as `support/xla.py` has it: memory depends on what is fused
WIDE = replace(tiny_config(), hidden_size=128, intermediate_size=384, num_heads=8, num_kv_heads=2, head_dim=32)
LLAMA = replace(WIDE, sandwich_norms=False, qk_norm=False, sliding_window=None, sliding_layers=(False,) * 4)


def abstract(config: ModelConfig) -> tuple[Any, Any]:
    """Parameters and an adapter of that shape, without any memory."""
    params: dict[str, Any] = {"layers": {}}
    for leaf in parameters(config):
        shape = (config.num_layers, *leaf.shape) if leaf.stacked else leaf.shape
        (params["layers"] if leaf.stacked else params)[leaf.path[-1]] = Shape(shape, jnp.float32)
    widths, layers = projection_shapes(config), config.num_layers
    adapter = {
        target: {
            "a": Shape((layers, widths[target][0], RANK), jnp.float32),
            "b": Shape((layers, RANK, widths[target][1]), jnp.float32),
        }
        for target in TARGETS
    }
    return params, adapter


def compiled_update(config: ModelConfig, prompts: int, group: int, prompt: int, new: int, *, full: bool = False) -> Any:
    params, adapter = abstract(config)
    packed = pack([[1] * prompt] * prompts, [[[1] * new] * group] * prompts, completion_bucket=new, prefix_length=0)
    packed = replace(packed, full_rematerialization=full)
    each = Shape(packed.targets.shape, jnp.float32)
    lowered = grpo_gradients.lower(
        adapter,
        params,
        jax.tree.map(lambda x: Shape(x.shape, x.dtype), packed),
        PerToken(each, each, each, each, each, each),
        Shape((), jnp.bool),
        config=config,
        scale=2.0,
        temperature=1.0,
        objective=Objective(0.04, 0.2, 0.2, "token"),
    )
    return lowered.compile(AS_IN_A_RUN)


def recipe_for(
    make_recipe: MakeRecipe, prompts: int, group: int, new: int, rematerialization: str = "selective"
) -> Recipe:
    rollout = {"prompts_per_step": prompts, "group_size": group, "max_new_tokens": new}
    model = {"rematerialization": rematerialization}
    return make_recipe(model=model, rollout=rollout, evaluate={"tasks_per_domain": 1})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "shape", "rematerialization"),
    [
        (tiny_config(), (2, 4, 200, 100), "selective"),
        (LLAMA, (2, 4, 100, 200), "selective"),
        (LLAMA, (2, 4, 100, 200), "full"),
    ],
    ids=["gemma", "llama", "llama-full"],
)
def test_the_update_is_within_a_fifth_of_what_the_compiler_says(
    make_recipe: MakeRecipe, config: ModelConfig, shape: tuple[int, int, int, int], rematerialization: str
) -> None:
    prompts, group, prompt, new = shape
    account = compiled_update(config, *shape, full=rematerialization == "full").memory_analysis()
    measured = account.temp_size_in_bytes + account.output_size_in_bytes
    recipe = recipe_for(make_recipe, prompts, group, new, rematerialization)
    estimate = estimate_memory(recipe, config, prompt_lengths=[prompt] * prompts, backend="cpu")
    update = estimate.phases["update"]
    assert sum(update[part] for part in ("activations", "temporaries", "gradients")) == pytest.approx(measured, rel=0.2)


def test_decoding_is_within_a_fifth_of_what_the_compiler_says(make_recipe: MakeRecipe) -> None:
    config, prompts, group, prompt, new = replace(WIDE, num_layers=2, sliding_layers=(True, False)), 2, 2, 128, 384
    params, adapter = abstract(config)
    weights = jax.eval_shape(partial(decoding_weights.__wrapped__, config=config, scale=2.0), params, adapter)
    own = jax.eval_shape(lambda: empty_cache(config, prompts, group, new, jnp.float32))
    cells = (prompts, group)
    state = State(
        Shape((), jnp.int32),
        Shape((*cells, new), jnp.int32),
        Shape((*cells, new), jnp.float32),
        Shape((*cells, new), jnp.float32),
        Shape(cells, jnp.bool),
        Shape(cells, jnp.int32),
        Shape((prompts,), jnp.int32),
    )
    keys = Shape((prompts, config.num_kv_heads, config.head_dim, prompt), jnp.float32)
    values = Shape((prompts, config.num_kv_heads, prompt, config.head_dim), jnp.float32)
    cache = ((keys,) * config.num_layers, (values,) * config.num_layers)
    number = Shape((), jnp.int32)
    program = decode.lower(
        params,
        weights,
        own,
        state,
        cache,
        jax.eval_shape(lambda: key_of(0)),
        number,
        number,
        config=config,
        scale=2.0,
        sampling=Sampling(top_k=0, top_p=1.0),
        stop_ids=(1,),
    ).compile(AS_IN_A_RUN)
    account = program.memory_analysis()
    base = sum(x.size * 4 for x in (params["embed"], params["final_norm"]))  # all of the base that decoding reads
    measured = account.argument_size_in_bytes + account.temp_size_in_bytes - base
    recipe = recipe_for(make_recipe, prompts, group, new)
    estimate = estimate_memory(recipe, config, prompt_lengths=[prompt] * prompts, backend="cpu")
    assert sum(estimate.phases["rollout"].values()) == pytest.approx(measured, rel=0.2)


@pytest.mark.slow
def test_a_large_vocabulary_never_stands_beside_all_tokens() -> None:
    """Gemma's 262,144 words: no array has a row of them for more than a chunk of the head, gradients included."""
    config = replace(tiny_config(), vocab_size=262_144, num_layers=1, sliding_layers=(True,))
    tokens = 4 * 64
    program = compiled_update(config, 1, 4, 60, 64)
    chunk = chunk_size(config.vocab_size, tokens)
    assert chunk < tokens
    shapes = re.findall(r"\w+\[([\d,]+)\]", program.as_text())
    sizes = [[int(n) for n in shape.split(",")] for shape in shapes]
    rows = {int(np.prod(size)) // config.vocab_size for size in sizes if config.vocab_size in size}
    assert max(rows) == max(chunk, config.hidden_size)  # the head itself is [vocabulary, width]
    assert program.memory_analysis().temp_size_in_bytes < 4 * tokens * config.vocab_size


def test_parts_are_counted_by_hand(make_recipe: MakeRecipe) -> None:
    config, recipe = tiny_config(), make_recipe(lora={"rank": 3, "targets": ["q", "down"]})
    estimate = estimate_memory(recipe, config, prompt_lengths=[50, 60], backend="cpu")
    adapter = 4 * 4 * 3 * ((64 + 64) + (128 + 64))
    assert adapter_bytes(recipe, config) == adapter
    assert estimate.resident["weights"] == 4 * num_parameters(config)
    assert estimate.resident["adapters"] == estimate.resident["moments"] == 2 * adapter
    assert estimate.total == sum(estimate.breakdown.values())
    assert estimate.breakdown.items() >= estimate.phases[estimate.peak_phase].items()
    recipe = make_recipe(model={"source": "tiny", "dtype": "bfloat16"}, lora={"rank": 3, "targets": ["q", "down"]})
    half = estimate_memory(recipe, config, prompt_lengths=[50, 60], backend="gpu", memory_bytes=10**9)
    assert half.resident["weights"] == estimate.resident["weights"] // 2
    assert "process" not in half.resident
    narrow = estimate_memory(recipe, config, prompt_lengths=[50, 60], backend="cpu")  # but its activations are wide
    assert narrow.resident["weights"] == half.resident["weights"]
    assert narrow.phases["update"]["activations"] == estimate.phases["update"]["activations"]


def test_a_teacher_is_resident_in_the_estimate_and_for_micro_batches(make_recipe: MakeRecipe) -> None:
    recipe, config = make_recipe(), tiny_config()
    teacher = replace(config, intermediate_size=3 * config.intermediate_size)
    alone, beside = (
        estimate_memory(recipe, config, backend="gpu", memory_bytes=10**11, teacher=one) for one in (None, teacher)
    )
    itemsize = alone.resident["weights"] // num_parameters(config)
    assert beside.resident == {**alone.resident, "teacher": itemsize * num_parameters(teacher)}
    footprints = [footprint_of(recipe, config, "gpu", None, one) for one in (None, teacher)]
    assert footprints[1].resident_bytes - footprints[0].resident_bytes == beside.resident["teacher"]


def test_more_of_everything_takes_more(make_recipe: MakeRecipe) -> None:
    config = tiny_config()

    def total(**rollout: int) -> int:
        sizes = {"prompts_per_step": 4, "group_size": 4, "max_new_tokens": 64, **rollout}
        recipe = make_recipe(rollout=sizes, evaluate={"tasks_per_domain": 1, "batch_size": 1})
        return estimate_memory(recipe, config, backend="gpu", memory_bytes=10**11).total

    assert total(group_size=8) > total()
    assert total(max_new_tokens=256) > total()
    assert total(prompts_per_step=16) > total()
    assert total(max_prompt_tokens=2048) > total()


def test_a_shipped_recipe_fits_the_device_that_its_header_names() -> None:
    """`night-1b.toml` on one accelerator of 16 GB, of which JAX takes three quarters; prompts of its own limit."""
    gemma = replace(
        tiny_config(),
        vocab_size=262_144,
        hidden_size=1152,
        intermediate_size=6912,
        num_layers=26,
        head_dim=256,
        sliding_layers=tuple((layer + 1) % 6 != 0 for layer in range(26)),
        max_position=32_768,
    )
    recipe = load_recipe(Path("night-1b"))
    for memory in (12, 16, 24, 32, 40, 60, 80):  # and any other: batches and micro-batches take what there is
        estimate = estimate_memory(recipe, gemma, backend="gpu", memory_bytes=memory * 10**9)
        assert 4 * 10**9 < estimate.total < memory * 10**9
    t4 = load_recipe(Path("night-1b"), ["model.dtype=float16"])  # its activations are float32
    half, all_of_it = (estimate_memory(t4, gemma, backend="gpu", memory_bytes=size) for size in (116 * 10**8, 10**11))
    assert half.total < 116 * 10**8
    footprints = [footprint_of(t4, gemma, "gpu", memory_bytes=size) for size in (116 * 10**8, 10**11)]
    assert [one.full_rematerialization for one in footprints] == [True, False]
    assert half.total < all_of_it.total
    roomy = estimate_memory(recipe, gemma, backend="gpu", memory_bytes=10**12)
    assert sum(roomy.phases["evaluate"].values()) > 12 * 10**9  # all of a batch at once would not fit


def test_an_update_is_cut_to_fit_the_device(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(rollout={"prompts_per_step": 64, "group_size": 8, "max_new_tokens": 256})
    roomy = estimate_memory(recipe, tiny_config(), backend="gpu", memory_bytes=10**11)
    tight = estimate_memory(recipe, tiny_config(), backend="gpu", memory_bytes=3 * 10**8)
    assert sum(tight.phases["update"].values()) < 3 * 10**8 < sum(roomy.phases["update"].values())


def test_what_is_available_is_read_from_the_machine(tmp_path: Path) -> None:
    proc, group = tmp_path / "meminfo", tmp_path / "cgroup"
    group.mkdir()
    proc.write_text("MemTotal: 100 kB\nMemAvailable: 40 kB\n")
    assert available_memory(proc, group) == 40 * 1024
    (group / "memory.max").write_text("30000\n")
    (group / "memory.current").write_text("10000\n")
    assert available_memory(proc, group) == 20000
    (group / "memory.max").write_text("max\n")
    assert available_memory(proc, group) == 40 * 1024
    assert available_memory(tmp_path / "none", group) is None
    found = device_memory()
    assert found is None or found > 2**20
