"""The parameters of a model: their shapes, and their names in Hugging Face and GGUF files.

A model is a plain tree. Matrices are `[in, out]` (files hold `[out, in]`). Layers are stacked on axis 0, and the
forward pass scans over them:

    {"embed": [V, D],
     "layers": {"attn_norm": [L, D], "q": [L, D, H*hd], "k": [L, D, K*hd], "v": [L, D, K*hd], "o": [L, H*hd, D],
                "mlp_norm": [L, D], "gate": [L, D, F], "up": [L, D, F], "down": [L, F, D],
                "q_norm", "k_norm": [L, hd], "post_attn_norm", "post_mlp_norm": [L, D], "q_bias", ...: [L, out]},
     "final_norm": [D],
     "head": [D, V]}            only if the output head is not the transposed embedding

Norm weights are stored as in Hugging Face: for Gemma the factor is 1 + weight.
"""

from __future__ import annotations

from dataclasses import dataclass

from thinkaloud.model.config import ModelConfig


@dataclass(frozen=True, slots=True)
class Parameter:
    """A leaf of the tree: its path, its shape without the layer axis, its names, and whether files transpose it.

    In the names, `{}` stands for the layer's number.
    """

    path: tuple[str, ...]
    shape: tuple[int, ...]
    hf: str
    gguf: str
    transposed: bool

    @property
    def stacked(self) -> bool:
        """Whether the leaf holds all layers on axis 0."""
        return self.path[0] == "layers"

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of one layer in a file."""
        return self.shape[::-1] if self.transposed else self.shape


def parameters(config: ModelConfig) -> list[Parameter]:
    """All parameters of a model with this configuration."""
    hidden, inner, vocab = config.hidden_size, config.intermediate_size, config.vocab_size
    queries, keys = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    leaves = [Parameter(("embed",), (vocab, hidden), "model.embed_tokens.weight", "token_embd.weight", False)]

    def layer(name: str, shape: tuple[int, ...], hf: str, gguf: str) -> None:
        leaf = Parameter(("layers", name), shape, f"model.layers.{{}}.{hf}", f"blk.{{}}.{gguf}", len(shape) == 2)
        leaves.append(leaf)

    layer("attn_norm", (hidden,), "input_layernorm.weight", "attn_norm.weight")
    layer("q", (hidden, queries), "self_attn.q_proj.weight", "attn_q.weight")
    layer("k", (hidden, keys), "self_attn.k_proj.weight", "attn_k.weight")
    layer("v", (hidden, keys), "self_attn.v_proj.weight", "attn_v.weight")
    layer("o", (queries, hidden), "self_attn.o_proj.weight", "attn_output.weight")
    if config.attention_bias:
        layer("q_bias", (queries,), "self_attn.q_proj.bias", "attn_q.bias")
        layer("k_bias", (keys,), "self_attn.k_proj.bias", "attn_k.bias")
        layer("v_bias", (keys,), "self_attn.v_proj.bias", "attn_v.bias")
    if config.qk_norm:
        layer("q_norm", (config.head_dim,), "self_attn.q_norm.weight", "attn_q_norm.weight")
        layer("k_norm", (config.head_dim,), "self_attn.k_norm.weight", "attn_k_norm.weight")
    if config.sandwich_norms:
        layer("post_attn_norm", (hidden,), "post_attention_layernorm.weight", "post_attention_norm.weight")
        layer("mlp_norm", (hidden,), "pre_feedforward_layernorm.weight", "ffn_norm.weight")
        layer("post_mlp_norm", (hidden,), "post_feedforward_layernorm.weight", "post_ffw_norm.weight")
    else:
        layer("mlp_norm", (hidden,), "post_attention_layernorm.weight", "ffn_norm.weight")
    layer("gate", (hidden, inner), "mlp.gate_proj.weight", "ffn_gate.weight")
    layer("up", (hidden, inner), "mlp.up_proj.weight", "ffn_up.weight")
    layer("down", (inner, hidden), "mlp.down_proj.weight", "ffn_down.weight")

    leaves.append(Parameter(("final_norm",), (hidden,), "model.norm.weight", "output_norm.weight", False))
    if not config.tie_embeddings:
        leaves.append(Parameter(("head",), (hidden, vocab), "lm_head.weight", "output.weight", True))
    return leaves


def num_parameters(config: ModelConfig) -> int:
    """The number of parameters; a tied output head counts once."""
    total = 0
    for leaf in parameters(config):
        size = config.num_layers if leaf.stacked else 1
        for length in leaf.shape:
            size *= length
        total += size
    return total
