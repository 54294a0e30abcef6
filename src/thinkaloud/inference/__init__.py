"""An OpenAI-compatible server for one stage of a run: `/v1/chat/completions`, rendered through the contract.

    protocol.py   requests validated, responses built
    deltas.py     growing text -> reasoning and answer, stop strings, whole characters only
    batch.py      concurrent requests -> batches, decoded a few tokens at a time
    routes.py     Starlette: routes, limits, server-sent events
    server.py     uvicorn: socket, timeouts, shutdown

For one machine and a handful of clients; for production, serve an export with vLLM or llama.cpp.
"""
