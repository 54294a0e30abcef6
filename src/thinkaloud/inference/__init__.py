"""An OpenAI-compatible server for one stage of a run: `/v1/chat/completions`, rendered through the contract.

    protocol.py   JSON in and out: what of OpenAI's format is honoured, and how a mistake is answered
    deltas.py     text as it grows -> reasoning and answer, stop strings, whole characters only
    stepping.py   a batch of prompts, decoded a few tokens at a time
    batcher.py    concurrent requests -> batches, in one thread that owns the device
    http.py       sockets, limits, server-sent events

For one machine and a handful of clients; for production, serve an export with vLLM or llama.cpp.
"""

from thinkaloud.inference.http import Limits, open_server

__all__ = ["Limits", "open_server"]
