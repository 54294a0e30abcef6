"""An adapter of peft's layout, read: scales by hand, patterns, zeros where it has nothing; what is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from thinkaloud.errors import UserError
from thinkaloud.fetch.models import resolve_model
from thinkaloud.model.config import tiny_config
from thinkaloud.model.lora import projection_shapes
from thinkaloud.model.merge import join_adapters, merge_in_place
from thinkaloud.model.peft_reader import read_peft
from thinkaloud.model.weights import load_checkpoint

Q = "model.layers.0.self_attn.q_proj"
DOWN = "model.layers.1.mlp.down_proj"
SHAPES = {Q: projection_shapes(tiny_config())["q"], DOWN: projection_shapes(tiny_config())["down"]}


def pair(module: str, rank: int, dtype: Any = np.float32) -> dict[str, np.ndarray]:
    """A of ones and B of twos, so that B A is 2 * rank everywhere."""
    width_in, width_out = SHAPES[module]
    stem = f"base_model.model.{module}"
    return {
        f"{stem}.lora_A.weight": np.ones((rank, width_in), dtype),
        f"{stem}.lora_B.weight": np.full((width_out, rank), 2, dtype),
    }


def write(folder: Path, tensors: dict[str, np.ndarray], **fields: Any) -> Path:
    folder.mkdir(exist_ok=True)
    usual = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "bias": "none", "base_model_name_or_path": "some/base"}
    (folder / "adapter_config.json").write_text(json.dumps(usual | fields))
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder / "adapter_model.safetensors"


def deltas(path: Path) -> dict[str, np.ndarray]:
    """What the adapter adds to the first element of each layer's matrix; the rest of a matrix is alike."""
    found = {}
    for target, own in read_peft(path, tiny_config()).items():
        whole = np.asarray(own["a"]) @ own["b"]
        assert (whole == whole[:, :1, :1]).all()
        found[target] = whole[:, 0, 0]
    return found


def test_the_scale_is_alpha_over_rank_and_other_layers_stay(tmp_path: Path) -> None:
    found = deltas(write(tmp_path, pair(Q, 2) | pair(DOWN, 2)))
    layers = tiny_config().num_layers
    assert found["q"].tolist() == [12.0] + [0.0] * (layers - 1)  # 2 * 2 * 6 / 2
    assert found["down"].tolist() == [0.0, 12.0] + [0.0] * (layers - 2)
    assert set(found) == {"q", "down"}


def test_rank_and_alpha_by_module_and_rslora(tmp_path: Path) -> None:
    patterns = {"rank_pattern": {"down_proj": 4}, "alpha_pattern": {r"layers\.1\.mlp\.down_proj": 10}}
    found = deltas(write(tmp_path, pair(Q, 2) | pair(DOWN, 4), **patterns))
    assert (found["q"][0], found["down"][1]) == (12.0, 20.0)  # 2 * 4 * 10 / 4
    found = deltas(write(tmp_path, pair(Q, 2) | pair(DOWN, 4), use_rslora=True, **patterns))
    assert found["q"][0] == pytest.approx(4 * 6 / np.sqrt(2))
    assert found["down"][1] == 8 * 10 / 2


def test_half_precision_is_read_exactly(tmp_path: Path) -> None:
    for dtype in (ml_dtypes.bfloat16, np.float16):
        assert deltas(write(tmp_path, pair(Q, 2, dtype)))["q"][0] == 12.0


def test_the_base_is_read_with_it(tmp_path: Path) -> None:
    path = write(tmp_path / "mine", pair(Q, 2))
    files = resolve_model("tiny", adapter=str(path.parent))
    assert (files.name, files.adapter) == ("tiny+mine", path)
    base, merged = (load_checkpoint(own)[1]["layers"] for own in (resolve_model("tiny"), files))
    np.testing.assert_array_equal(merged["q"][0], base["q"][0] + np.float32(12))
    np.testing.assert_array_equal(merged["q"][1:], base["q"][1:])
    np.testing.assert_array_equal(merged["k"], base["k"])
    rounded = load_checkpoint(files, ml_dtypes.bfloat16)[1]["layers"]["q"]
    narrow = base["q"][0].astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(rounded[0], (narrow + np.float32(12)).astype(ml_dtypes.bfloat16))


def test_joined_adapters_add_up() -> None:
    rng = np.random.default_rng(0)

    def random(rank: int, *targets: str) -> dict[str, dict[str, np.ndarray]]:
        def draw(*shape: int) -> np.ndarray:
            return rng.standard_normal(shape).astype(np.float32)

        return {target: {"a": draw(2, 5, rank), "b": draw(2, rank, 4)} for target in targets}

    first, second = random(2, "q", "k"), random(3, "q", "v")
    joined = join_adapters([(first, 0.5), (second, 2.0)])
    assert {target: own["a"].shape[2] for target, own in joined.items()} == {"q": 5, "k": 5, "v": 5}
    one, two = ({"layers": {name: np.zeros((2, 5, 4), np.float32) for name in "qkv"}} for _ in range(2))
    merge_in_place(merge_in_place(one, first, 0.5), second, 2.0)
    merge_in_place(two, joined, 1.0)
    for name in "qkv":
        np.testing.assert_allclose(one["layers"][name], two["layers"][name], atol=1e-5)
        assert one["layers"][name].any()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, 'modules_to_save = ["lm_head"]'),
        ({"bias": "lora_only"}, 'bias = "lora_only"'),
        ({"peft_type": "LOHA"}, 'peft_type = "LOHA"'),
        ({"init_lora_weights": "pissa"}, 'init_lora_weights = "pissa"'),
        ({"trainable_token_indices": [3]}, "trainable_token_indices = [3]"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"lora_bias": True}, "lora_bias"),
        ({"some_later_invention": {"x": 1}}, "some_later_invention"),
        ({"r": "two"}, "configuration of a LoRA adapter"),
        ({"alpha_pattern": {"(": 3}}, "configuration of a LoRA adapter"),
        ({"alpha_pattern": {"w_proj": 3}}, "'w_proj', which matches none"),
        ({"r": 3}, "expected A (3, 64) and B (64, 3), found (2, 64) and (64, 2)"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(fields: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = write(tmp_path, pair(Q, 2), **fields)
    with pytest.raises(UserError) as caught:
        read_peft(path, tiny_config())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({}, "found none"),
        ({f"base_model.model.{Q}.lora_magnitude_vector": np.ones(4, np.float32)}, "lora_magnitude_vector"),
        ({"base_model.model.lm_head.weight": np.ones((4, 4), np.float32)}, "lm_head.weight"),
        ({"base_model.model.model.layers.99.mlp.up_proj.lora_A.weight": np.ones((2, 2), np.float32)}, "layers.99"),
        (dict([next(iter(pair(Q, 2).items()))]), "lora_B.weight' beside the other half"),
        ({name: np.full_like(own, np.nan) for name, own in pair(Q, 2).items()}, "not finite"),
    ],
)
def test_tensors_that_do_not_belong(tensors: dict[str, np.ndarray], said: str, tmp_path: Path) -> None:
    path = write(tmp_path, tensors)
    with pytest.raises(UserError) as caught:
        read_peft(path, tiny_config())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
