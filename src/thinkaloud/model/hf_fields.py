"""The fields of Hugging Face's `config.json`: supported, required to be off, or ignored.

An unknown field is an error that names it, and so is a known field with an unsupported value: otherwise a model could
load and silently compute something else.
"""

from __future__ import annotations

import math
from typing import Any

from thinkaloud.errors import UserError, nearest


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


READ = _names(
    """
    architectures model_type text_config vocab_size hidden_size intermediate_size num_hidden_layers
    num_attention_heads num_key_value_heads head_dim hidden_act hidden_activation rms_norm_eps max_position_embeddings
    rope_theta rope_local_base_freq rope_scaling rope_parameters sliding_window use_sliding_window max_window_layers
    layer_types sliding_window_pattern _sliding_window_pattern query_pre_attn_scalar tie_word_embeddings
    attention_bias
    """
)
"""Fields that determine `ModelConfig`."""

MUST_BE_OFF = _names(
    """
    attn_logit_softcapping final_logit_softcapping mlp_bias attention_dropout use_bidirectional_attention
    rope_interleaved quantization_config num_experts num_local_experts num_experts_per_tok is_encoder_decoder
    add_cross_attention use_qk_norm no_rope_layers attention_chunk_size auto_map
    """
)
"""Fields that would change the forward pass in an unsupported way; null, false, zero or empty is accepted."""

IGNORED = _names(
    """
    transformers_version torch_dtype dtype _name_or_path _model_name_or_path
    initializer_range use_cache cache_implementation
    bos_token_id eos_token_id pad_token_id unk_token_id sep_token_id cls_token_id mask_token_id decoder_start_token_id
    tokenizer_class prefix
    pretraining_tp is_llama_config transformers.js_config _attn_implementation _attn_implementation_autoset
    attn_implementation is_decoder cross_attention_hidden_size tie_encoder_decoder return_dict return_dict_in_generate
    output_hidden_states output_attentions output_scores torchscript use_bfloat16 tf_legacy_loss pruned_heads
    chunk_size_feed_forward problem_type id2label label2id finetuning_task task_specific_params max_length min_length
    do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p typical_p
    repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids
    num_return_sequences forced_bos_token_id forced_eos_token_id remove_invalid_values suppress_tokens
    begin_suppress_tokens exponential_decay_length_penalty unsloth_version unsloth_fixed
    vision_config image_token_index image_token_id boi_token_index boi_token_id eoi_token_index eoi_token_id
    mm_tokens_per_image
    """
)
"""Fields without effect on the text model's forward pass: file history, generation and tokenizer settings,
initialisation, `pretraining_tp` (the same product in slices), and the vision tower, which is not loaded."""


def refuse_unknown(fields: dict[str, Any]) -> None:
    """Raises UserError for the first field that is unknown, or has an unsupported value."""
    for key, value in fields.items():
        if key in MUST_BE_OFF:
            if value not in (None, False, 0, [], {}):
                raise UserError(f"config.json: {key} = {str(value)[:80]} is not supported")
        elif key not in READ and key not in IGNORED:
            hint = nearest(key, READ)
            raise UserError(
                f"config.json: unknown field {key!r}{hint if 'did you mean' in hint else ''}: it may change what the "
                "model computes; remove it from config.json if you know that it does not"
            )


def integer(fields: dict[str, Any], key: str, *, least: int = 1) -> int:
    """The integer under `key`, from `least` to 2**31; anything else raises UserError."""
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 1 << 31:
        raise UserError(f"config.json: expected an integer of at least {least} for {key}, found {str(value)[:80]!r}")
    return value


def number(fields: dict[str, Any], key: str, default: float | None = None) -> float:
    """The positive finite number under `key` as a float, or `default` where the key is absent."""
    value = fields.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"config.json: expected a number for {key}, found {str(value)[:80]!r}")
    if not math.isfinite(value) or value <= 0:
        raise UserError(f"config.json: expected a positive number for {key}, found {value!r}")
    return float(value)


def mapping(fields: dict[str, Any], key: str) -> dict[str, Any]:
    """The object under `key`; an empty one where it is absent or null."""
    value = fields.get(key) or {}
    if not isinstance(value, dict):
        raise UserError(f"config.json: expected an object for {key}, found {str(value)[:80]!r}")
    return value
