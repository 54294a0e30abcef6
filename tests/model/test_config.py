"""A model's configuration: Hugging Face's file to the record and back, and what is refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from thinkaloud.errors import UserError
from thinkaloud.model.config import ModelConfig, RopeScaling, tiny_config
from thinkaloud.model.hf_config import read_hf_config, write_hf_config

GEMMA_270M: dict[str, Any] = {
    "architectures": ["Gemma3ForCausalLM"],
    "model_type": "gemma3_text",
    "vocab_size": 262144,
    "hidden_size": 640,
    "intermediate_size": 2048,
    "num_hidden_layers": 18,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh",
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "rope_local_base_freq": 10000.0,
    "rope_scaling": None,
    "query_pre_attn_scalar": 256,
    "sliding_window": 512,
    "_sliding_window_pattern": 6,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "attn_logit_softcapping": None,
    "final_logit_softcapping": None,
    "max_position_embeddings": 32768,
    "use_bidirectional_attention": False,
    "bos_token_id": 2,
    "eos_token_id": 1,
    "torch_dtype": "bfloat16",
}

SMOLLM2: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "is_llama_config": True,
    "max_position_embeddings": 8192,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 9,
    "num_hidden_layers": 30,
    "num_key_value_heads": 3,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_interleaved": False,
    "rope_scaling": None,
    "rope_theta": 100000,
    "tie_word_embeddings": True,
    "transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}},
    "vocab_size": 49152,
}

QWEN2: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_act": "silu",
    "hidden_size": 896,
    "intermediate_size": 4864,
    "max_position_embeddings": 32768,
    "max_window_layers": 21,
    "model_type": "qwen2",
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 32768,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
    "vocab_size": 151936,
}

LINEAR = {"type": "linear", "factor": 8}
LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def test_gemma_270m() -> None:
    config = read_hf_config(GEMMA_270M)
    assert (config.family, config.num_layers, config.num_heads, config.num_kv_heads) == ("gemma3", 18, 4, 1)
    assert config.head_dim == 256  # not hidden_size / heads = 160
    assert config.query_scale == 1 / 16
    assert config.embedding_scale == pytest.approx(25.29822128)
    assert (config.rope_theta, config.rope_local_theta, config.rope_scaling) == (1e6, 1e4, None)
    assert config.sliding_window == 512
    assert [index for index, sliding in enumerate(config.sliding_layers) if not sliding] == [5, 11, 17]
    assert config.activation == "gelu_tanh"
    assert config.tie_embeddings  # absent in the file: Gemma's default
    assert config.norm_plus_one
    assert config.sandwich_norms
    assert config.qk_norm
    assert not config.attention_bias


def test_smollm2() -> None:
    config = read_hf_config(SMOLLM2)
    assert (config.family, config.head_dim, config.num_kv_heads) == ("llama", 64, 3)
    assert config.query_scale == 0.125
    assert config.rope_theta == 100000.0
    assert isinstance(config.rope_theta, float)
    assert config.rope_local_theta is None
    assert config.sliding_layers == (False,) * 30
    assert config.embedding_scale == 1.0
    assert (config.norm_plus_one, config.sandwich_norms, config.qk_norm) == (False, False, False)


def test_qwen_families_differ_in_bias_and_norms() -> None:
    two = read_hf_config(QWEN2)
    assert two.attention_bias
    assert not two.qk_norm
    assert (two.sliding_window, any(two.sliding_layers)) == (None, False)
    three = read_hf_config({**QWEN2, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"})
    assert three.qk_norm
    assert not three.attention_bias
    assert three.head_dim == 128  # Qwen 3's default, not 896 / 14


def test_qwen_window_begins_at_max_window_layers() -> None:
    config = read_hf_config({**QWEN2, "use_sliding_window": True})
    assert config.sliding_window == 32768
    assert config.sliding_layers == (False,) * 21 + (True,) * 3


def test_layer_types_win_over_the_pattern() -> None:
    types = ["full_attention"] + ["sliding_attention"] * 17
    assert read_hf_config({**GEMMA_270M, "layer_types": types}).sliding_layers == (False,) + (True,) * 17
    older = {key: value for key, value in GEMMA_270M.items() if key != "_sliding_window_pattern"}
    flags = read_hf_config({**older, "sliding_window_pattern": 3}).sliding_layers
    assert flags[:6] == (True, True, False, True, True, False)


def test_multimodal_gemma_is_read_for_its_text_model() -> None:
    text = {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    }
    config = read_hf_config(
        {
            "architectures": ["Gemma3ForConditionalGeneration"],
            "model_type": "gemma3",
            "text_config": text,
            "vision_config": {"hidden_size": 1152},
            "mm_tokens_per_image": 256,
            "boi_token_index": 255999,
            "eos_token_id": [1, 106],
        }
    )
    assert (config.vocab_size, config.num_heads, config.num_kv_heads, config.head_dim) == (262208, 8, 4, 256)
    assert config.rope_scaling == RopeScaling(kind="linear", factor=8.0)
    assert config.max_position == 131072


def test_transformers_5_rope_parameters_mean_the_same() -> None:
    plain = {key: value for key, value in GEMMA_270M.items() if not key.startswith("rope_")}
    new = {
        **plain,
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 2e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 5e3},
        },
    }
    old = {
        **plain,
        "rope_theta": 2e6,
        "rope_local_base_freq": 5e3,
        "rope_scaling": {"type": "linear", "factor": 8.0},
    }
    assert read_hf_config(new) == read_hf_config(old)
    llama = {key: value for key, value in SMOLLM2.items() if not key.startswith("rope_")}
    new = {**llama, "rope_parameters": {"rope_theta": 5e5, **LLAMA3_SCALING}}
    assert read_hf_config(new) == read_hf_config({**llama, "rope_theta": 5e5, "rope_scaling": LLAMA3_SCALING})


def test_llama3_scaling() -> None:
    config = read_hf_config({**SMOLLM2, "rope_scaling": LLAMA3_SCALING})
    assert config.rope_scaling == RopeScaling(
        kind="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position=8192
    )


@pytest.mark.parametrize(
    "config",
    [
        read_hf_config(GEMMA_270M),
        read_hf_config({**GEMMA_270M, "query_pre_attn_scalar": 168, "rope_scaling": {"type": "linear", "factor": 8}}),
        read_hf_config(SMOLLM2),
        read_hf_config({**SMOLLM2, "rope_scaling": LLAMA3_SCALING, "tie_word_embeddings": False}),
        read_hf_config(QWEN2),
        read_hf_config({**QWEN2, "use_sliding_window": True}),
        read_hf_config({**QWEN2, "architectures": ["Qwen3ForCausalLM"], "head_dim": 64}),
        tiny_config(),
        replace(tiny_config(), sliding_window=None, sliding_layers=(False,) * 4),
    ],
)
def test_round_trip(config: ModelConfig) -> None:
    again = read_hf_config(write_hf_config(config))
    assert replace(again, query_scale=config.query_scale) == config
    assert again.query_scale == pytest.approx(config.query_scale, rel=1e-9)


@pytest.mark.parametrize(
    ("base", "change", "named"),
    [
        (GEMMA_270M, {"architectures": ["Gemma2ForCausalLM"]}, "Gemma2ForCausalLM"),
        (GEMMA_270M, {"architectures": None, "model_type": "gemma2"}, "gemma2"),
        (GEMMA_270M, {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping"),
        (GEMMA_270M, {"final_logit_softcapping": 30.0}, "final_logit_softcapping"),
        (GEMMA_270M, {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        (GEMMA_270M, {"hidden_activation": "relu"}, "hidden_activation"),
        (GEMMA_270M, {"layer_types": ["full_attention"]}, "18 layer_types"),
        (GEMMA_270M, {"layer_types": ["chunked_attention"] * 18}, "chunked_attention"),
        (GEMMA_270M, {"sliding_window": 0}, "sliding_window"),
        (SMOLLM2, {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "yarn"),
        (SMOLLM2, {"rope_scaling": {"rope_type": "linear", "factor": 4.0, "beta_fast": 32}}, "beta_fast"),
        (SMOLLM2, {"rope_scaling": {"rope_type": "linear"}}, "factor"),
        (SMOLLM2, {"rope_scaling": {**LLAMA3_SCALING, "high_freq_factor": 1.0}}, "low < high"),
        (SMOLLM2, {"rope_scaling": "linear"}, "rope_scaling"),
        (SMOLLM2, {"rope_parameters": {"partial_rotary_factor": 0.5, "rope_theta": 1e4}}, "partial_rotary_factor"),
        (SMOLLM2, {"attention_bias": True}, "attention_bias"),
        (SMOLLM2, {"mlp_bias": True}, "mlp_bias"),
        (SMOLLM2, {"num_experts": 8}, "num_experts"),
        (SMOLLM2, {"quantization_config": {"bits": 4}}, "quantization_config"),
        (SMOLLM2, {"rope_interleaved": True}, "rope_interleaved"),
        (SMOLLM2, {"sliding_window": 4096}, "sliding_window"),
        (SMOLLM2, {"hiden_size": 1}, "did you mean 'hidden_size'"),
        (SMOLLM2, {"num_key_value_heads": 2}, "multiple"),
        (SMOLLM2, {"hidden_size": "576"}, "hidden_size"),
        (SMOLLM2, {"vocab_size": True}, "vocab_size"),
        (SMOLLM2, {"rms_norm_eps": 0.0}, "rms_norm_eps"),
        (SMOLLM2, {"head_dim": 33}, "even"),
        (SMOLLM2, {"num_hidden_layers": 10**12}, "layers"),
        (SMOLLM2, {"num_attention_heads": 0}, "num_attention_heads"),
    ],
)
def test_refused_by_name(base: dict[str, Any], change: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named) as caught:
        read_hf_config({**base, **change})
    assert "\n" not in str(caught.value)


def test_missing_size_is_named() -> None:
    with pytest.raises(UserError, match="num_hidden_layers"):
        read_hf_config({key: value for key, value in SMOLLM2.items() if key != "num_hidden_layers"})


def test_tiny_config_matches_the_byte_tokenizer() -> None:
    config = tiny_config()
    assert config.vocab_size == 5 + 256
    assert config.sliding_layers == (True, True, True, False)
