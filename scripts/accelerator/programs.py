"""Compiles the engine's programs for a TPU or GPU that is not here; `check.py` starts it once per target.

    python programs.py TARGET PROGRAM...    prints one JSON object per program; needs the plugins on the path

Programs have Gemma 3 1B's sizes. The layers of the update and of the prefill are a loop, so all are compiled. Decoding
is unrolled: it is compiled with 3 and with 6 layers, and figures are extrapolated to 26.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
from hlo import Program
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from thinkaloud.config.load import parse_recipe
from thinkaloud.config.mesh import AXES
from thinkaloud.model.config import ModelConfig, tiny_config
from thinkaloud.model.footprint import Footprint
from thinkaloud.model.layout import parameters
from thinkaloud.model.lora import TARGETS, projection_shapes
from thinkaloud.model.packed import Buckets, pack
from thinkaloud.model.precision import activation_dtype
from thinkaloud.model.sharding import row_sharding, weight_spec
from thinkaloud.rollout import decode_kernel
from thinkaloud.rollout.batch_size import decoding_bytes
from thinkaloud.rollout.decode import decode, decoding_weights, empty_cache, prefill, start
from thinkaloud.rollout.sampling import Sampling, key_of
from thinkaloud.train.learner import PerToken, grpo_gradients
from thinkaloud.train.loss import Objective
from thinkaloud.train.memory import estimate_memory

HERE = Path(__file__).parent
LAYERS, RANK, PROMPT_TOKENS, NEW_TOKENS = 26, 16, 1024, 512
UNROLLED = (3, 6)
SAMPLING = Sampling(temperature=0.7, top_k=50, top_p=0.95)


def gemma_1b(layers: int = LAYERS) -> ModelConfig:
    """Gemma 3 1B, with another number of layers: five that slide, then one that does not."""
    return replace(
        tiny_config(),
        vocab_size=262_144,
        hidden_size=1152,
        intermediate_size=6912,
        num_layers=layers,
        num_heads=4,
        num_kv_heads=1,
        head_dim=256,
        query_scale=256**-0.5,
        embedding_scale=1152**0.5,
        sliding_window=512,
        sliding_layers=tuple((layer + 1) % 6 != 0 for layer in range(layers)),
        max_position=32_768,
    )


WEIGHT_BYTES = 4 * 1152 * RANK
"""Of the smallest matrix of an adapter; a matrix is told from hidden states by its first axis."""

INPUT_WIDTHS = {width for width, _ in projection_shapes(gemma_1b()).values()}


@dataclass(frozen=True)
class Target:
    """A device: JAX's platform, the topology's name, the dtype of weights, a GPU's compute capability."""

    backend: str
    topology: str
    dtype: str
    capability: float = 0.0


TARGETS_BY_NAME = {
    "v5e": Target("tpu", "v5e:2x4", "bfloat16"),
    "h100": Target("gpu", "1x1x1", "bfloat16", 9.0),
    "t4": Target("gpu", "1x1x1", "float16", 7.5),
}


class Shapes:
    """Abstract arrays of the engine's programs, placed on the first devices of a topology."""

    def __init__(self, target: Target, devices: list[Any], config: ModelConfig, prompts: int, group: int) -> None:
        sizes = (len(devices), 1, 1)
        self.mesh = Mesh(np.asarray(devices).reshape(sizes), AXES, axis_types=(AxisType.Auto,) * 3)
        self.config, self.dtype = config, jnp.dtype(target.dtype)
        self.kernel = decode_kernel.supports(config, activation_dtype(self.dtype), target.capability)
        self.prompts, self.group = prompts, group
        self.params: Any = {"layers": {}}
        for leaf in parameters(config):
            shape = (config.num_layers, *leaf.shape) if leaf.stacked else leaf.shape
            node = self.params["layers"] if leaf.stacked else self.params
            node[leaf.path[-1]] = jax.ShapeDtypeStruct(shape, self.dtype)
        self.params = self.weights(self.params)
        layers, widths = config.num_layers, projection_shapes(config)
        self.adapter = self.weights(
            {
                name: {
                    "a": jax.ShapeDtypeStruct((layers, widths[name][0], RANK), jnp.float32),
                    "b": jax.ShapeDtypeStruct((layers, RANK, widths[name][1]), jnp.float32),
                }
                for name in TARGETS
            }
        )

    def weights(self, tree: Any) -> Any:
        """Placed as `sharding.place` does."""

        def leaf(path: Any, x: Any) -> Any:
            spec = weight_spec(path, x.shape, self.mesh, self.config)
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(self.mesh, spec))

        return jax.tree_util.tree_map_with_path(leaf, tree)

    def rows(self, tree: Any) -> Any:
        """Placed as `sharding.place_rows` does."""
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=row_sharding(x, self.mesh)), tree)

    def same(self, tree: Any) -> Any:
        """A copy on every device."""
        sharding = NamedSharding(self.mesh, PartitionSpec())
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)

    def packed(self, new_tokens: int) -> Any:
        """The layout of prompts of the full length that share 64 tokens; without completions for a prefill."""
        rng = np.random.default_rng(0)
        unlike = rng.integers(5, self.config.vocab_size, (self.prompts, PROMPT_TOKENS - 64))
        prompts = [[1] * 64 + row.tolist() for row in unlike]
        groups = [[[7] * new_tokens] * (self.group if new_tokens else 0)] * self.prompts
        buckets = Buckets.of(jax.default_backend(), PROMPT_TOKENS)
        sizes = {"prompt_bucket": buckets.prompt, "per_octave": buckets.per_octave}
        packed = pack(prompts, groups, completion_bucket=NEW_TOKENS, **sizes)
        return self.rows(replace(packed, mesh=self.mesh if self.mesh.size > 1 else None))


def lower_update(shapes: Shapes, *, full: bool = False) -> Any:
    """The gradients of one micro-batch, on request with full rematerialization."""
    packed = replace(shapes.packed(NEW_TOKENS), full_rematerialization=full)
    each = jax.ShapeDtypeStruct(packed.targets.shape, jnp.float32)
    return grpo_gradients.lower(
        shapes.adapter,
        shapes.params,
        packed,
        shapes.rows(PerToken(each, each, each, each, each, each)),
        shapes.same(jax.ShapeDtypeStruct((), jnp.bool)),
        config=shapes.config,
        scale=2.0,
        temperature=0.7,
        objective=Objective(0.0, 0.2, 0.28, "token"),
    )


def lower_prefill(shapes: Shapes) -> Any:
    """The prompts' keys and values, and the logits of their last tokens."""
    return prefill.lower(shapes.params, shapes.adapter, shapes.packed(0), shapes.config, 2.0)


def lower_decode(shapes: Shapes, *, adapted: bool) -> Any:
    """The loop over positions, from its first token to its last."""
    config, cells = shapes.config, (shapes.prompts, shapes.group)
    adapter = shapes.adapter if adapted else {}
    weights = jax.eval_shape(
        partial(decoding_weights.__wrapped__, config=config, scale=2.0, fuse=True), shapes.params, adapter
    )
    unplaced = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), (shapes.params, shapes.adapter))
    logits, cache = jax.eval_shape(partial(prefill.__wrapped__, config=config, scale=2.0), *unplaced, shapes.packed(0))
    key = jax.eval_shape(lambda: key_of(0))
    number = jax.ShapeDtypeStruct((), jnp.int32)
    begin = partial(start.__wrapped__, slots=NEW_TOKENS, sampling=SAMPLING, stop_ids=(106,))
    state = jax.eval_shape(
        begin,
        logits,
        jax.ShapeDtypeStruct(cells[:1], jnp.bool),
        jax.ShapeDtypeStruct(cells[:1], jnp.int32),
        jax.ShapeDtypeStruct(cells, jnp.int32),
        key,
    )
    own = jax.eval_shape(lambda: empty_cache(config, *cells, NEW_TOKENS, shapes.dtype, kernel=shapes.kernel))
    return decode.lower(
        shapes.params,
        shapes.same(weights),
        shapes.rows(own),
        shapes.rows(state),
        shapes.rows(cache),
        shapes.same(key),
        *shapes.same((number, number)),
        config=config,
        scale=2.0,
        sampling=SAMPLING,
        stop_ids=(106,),
        kernel=shapes.kernel,
    )


PROGRAMS: dict[str, tuple[Callable[[Shapes], Any], int, int, int]] = {
    "decode": (partial(lower_decode, adapted=True), 4, 4, 1),
    "decode-base": (partial(lower_decode, adapted=False), 4, 4, 1),
    "decode-256": (partial(lower_decode, adapted=True), 32, 8, 1),
    "prefill": (lower_prefill, 4, 4, 1),
    "prefill-32": (lower_prefill, 32, 1, 1),
    "update": (lower_update, 4, 4, 1),
    "update-full": (partial(lower_update, full=True), 4, 4, 1),
    "update-64": (lower_update, 8, 8, 1),
    "update-mesh": (lower_update, 8, 8, 8),
}
"""How a program is lowered, prompts, completions per prompt, devices."""


def kernel_bytes(shapes: Shapes) -> float:
    """Bytes of the caches that `decode_kernel` reads in a step, the mean of all steps; 0 where it is not used.

    Counted by its own bounds, since the compiler does not know them. The members of a group read the same blocks of
    their prompt at the same time, which counts once.
    """
    if not shapes.kernel:
        return 0.0
    config, steps = shapes.config, jnp.arange(NEW_TOKENS)
    slots = 0.0
    for sliding in config.sliding_layers:
        window = config.sliding_window if sliding else None
        of_prompt = decode_kernel.slots_read(
            decode_kernel.first_visible(PROMPT_TOKENS + steps + 1, window), PROMPT_TOKENS
        )
        own = decode_kernel.slots_read(decode_kernel.first_visible(steps + 1, window), steps)
        slots += float(shapes.prompts * of_prompt.mean() + shapes.prompts * shapes.group * own.mean())
    return slots * 2 * config.num_kv_heads * config.head_dim * shapes.dtype.itemsize


def logit_rows(program: Program, vocab_size: int) -> int:
    """The most rows of logits in one array."""
    sizes = [shape.sizes for i in program.instructions() for shape in i.shapes if shape.sizes[-1:] == (vocab_size,)]
    return max((math.prod(each[:-1]) for each in sizes), default=0)


def predicted_prefill(shapes: Shapes) -> int:
    """What `prompts_at_once` expects that the prefill of a batch adds to the memory of one device."""
    itemsizes = {"itemsize": shapes.dtype.itemsize, "activation_itemsize": activation_dtype(shapes.dtype).itemsize}
    footprint, buckets = Footprint(config=shapes.config, **itemsizes), Buckets.of(jax.default_backend(), PROMPT_TOKENS)
    lengths = [PROMPT_TOKENS] * shapes.prompts
    found = decoding_bytes(footprint, buckets, lengths, shapes.prompts, group=0, slots=0, backend=jax.default_backend())
    return found["completion cache and temporaries"]  # the prompts' cache is a part of it


def predicted_update(shapes: Shapes, *, full: bool) -> int:
    """What `thinkaloud audit` predicts that an update adds to the memory of one device, in one micro-batch."""
    rollout = {"prompts_per_step": shapes.prompts, "group_size": shapes.group, "max_new_tokens": NEW_TOKENS}
    values = {
        "name": "accelerator",
        "model": {
            "source": "tiny",
            "dtype": shapes.dtype.name,
            "rematerialization": "full" if full else "selective",
        },
        "lora": {"rank": RANK, "alpha": 2.0 * RANK},
        "rollout": {**rollout, "max_prompt_tokens": PROMPT_TOKENS},
    }
    several = shapes.mesh if shapes.mesh.size > 1 else None
    estimate = estimate_memory(parse_recipe(values), shapes.config, memory_bytes=10**13, mesh=several)
    return sum(estimate.phases["update"].values())


def figures(compiled: Any, shapes: Shapes, name: str) -> dict[str, float]:
    """What the budget file limits, of the program `name`."""
    decoding, updating = name.startswith("decode"), name.startswith("update")
    text = compiled.as_text()
    if folder := os.environ.get("HLO_OUT"):
        Path(folder).mkdir(exist_ok=True)
        (Path(folder) / f"{os.environ['HLO_NAME']}.hlo").write_text(text)
    program, memory = Program.parse(text), compiled.memory_analysis()
    loop = program.longest_loop
    body = program.totals(loop)
    found = {
        "temp_gb": memory.temp_size_in_bytes / 1e9,
        "argument_gb": memory.argument_size_in_bytes / 1e9,
        "output_gb": memory.output_size_in_bytes / 1e9,
        "alias_gb": memory.alias_size_in_bytes / 1e9,
        "widest_sort": program.widest_sort(),
        "logit_rows": logit_rows(program, shapes.config.vocab_size),
        "loop_kernels": body.kernels,
        "loop_weight_copies": len(
            [
                shape
                for op in ("concatenate", "convert", "copy", "transpose")
                for shape in program.written(loop, op, WEIGHT_BYTES)
                if shape.sizes[0] in INPUT_WIDTHS
            ]
        ),
        "loop_collective_mb": body.collective_bytes / 1e6,
    }
    if decoding:
        found["loop_input_gb"] = (program.input_bytes(loop) + kernel_bytes(shapes)) / 1e9
    if not decoding:
        predicted = predicted_update(shapes, full=name.endswith("full")) if updating else predicted_prefill(shapes)
        found["memory_error"] = abs(predicted / (memory.temp_size_in_bytes + memory.output_size_in_bytes) - 1)
    found["megacycles"] = (body if decoding else program.totals()).cycles / 1e6
    return found


def compile_program(target: Target, devices: list[Any], name: str) -> dict[str, float]:
    """The figures of one program at full depth."""
    lower, prompts, group, count = PROGRAMS[name]
    unrolled = name.startswith("decode")
    found = []
    began = time.monotonic()
    for layers in UNROLLED if unrolled else (LAYERS,):
        os.environ["HLO_NAME"] = f"{os.environ.get('HLO_TARGET', '')}-{name}-{layers}"
        shapes = Shapes(target, devices[:count], gemma_1b(layers), prompts, group)
        compiled = lower(shapes).compile()
        found.append(figures(compiled, shapes, name))
    last = found[-1]
    if unrolled:
        few, many = UNROLLED
        last = {
            key: value
            if key in ("widest_sort", "logit_rows")
            else value + (value - found[0][key]) * (LAYERS - many) / (many - few)
            for key, value in last.items()
        }
    return {**last, "compile_seconds": time.monotonic() - began}


def main() -> None:
    """Compile the programs that the command line names."""
    name, *wanted = sys.argv[1:]
    target = TARGETS_BY_NAME[name]
    if target.backend == "tpu":
        devices = topologies.get_topology_desc(platform="tpu", topology_name=target.topology).devices
    else:
        description = (HERE / "targets" / f"{name}.txtpb").read_text()
        devices = topologies.get_topology_desc(
            platform="cuda", topology_name=target.topology, topology=target.topology, target_config=description
        ).devices
    backend: Any = lambda: target.backend  # noqa: E731 - the engine chooses layouts and dtypes by it
    jax.default_backend = backend
    os.environ["HLO_TARGET"] = name
    for program in wanted:
        print(json.dumps({"target": name, "program": program, **compile_program(target, devices, program)}), flush=True)


if __name__ == "__main__":
    main()
