"""Sampling by vLLM servers, over their OpenAI-compatible API: token ids in, token ids and log-probabilities out.

`client` makes the requests to one server and checks its replies, `started` runs a server of our own, and `sampler`
balances rows over servers, swaps adapters and recovers from failures.
"""

from thinkaloud.rollout.vllm.sampler import VllmSampler

__all__ = ["VllmSampler"]
