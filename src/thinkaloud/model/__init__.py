"""The model: its configuration, its weights on disk and in memory, its forward pass, its adapters.

Reading order: `config` (the record of a model's shape), `hf_fields` and `hf_config` (that record from and to a Hugging
Face `config.json`), `gguf_config` (the same from a GGUF file), `layout` (the tree of parameters and their names in
files), `safetensors_reader` and `gguf_reader` (tensors by blocks of rows), `merge` and `peft_reader` (adapters from
other tools), `weights` and `save_hf` (weights in and out, as numpy arrays), `architecture` (the forward pass in JAX),
and the modules that build on it. This file imports nothing, so that a configuration can be read without JAX.
"""
