"""The model: its configuration, its weights on disk and in memory, its forward pass, its adapters.

Read in this order: `config` (what a model looks like, in one record), `hf_fields` and `hf_config` (that record from and
to a Hugging Face `config.json`), `gguf_config` (the same from a GGUF file), `layout` (the tree of parameters and what
files call them), `safetensors_reader` and `gguf_reader` (blocks of rows), `merge` and `peft_reader` (an adapter from
elsewhere), `checkpoint` (weights in, weights out, as numpy arrays), `architecture` (the forward pass in JAX), and what
builds on it. This file imports nothing, so that a configuration can be read without JAX.
"""
