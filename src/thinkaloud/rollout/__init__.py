"""Token ids in, groups of completions with their log-probabilities out.

A `Sampler` (`sampler`) serves a policy; `generate` is behind the default one. `sampling` chooses tokens, `decode` holds
the programs that run on the device, and `decode_batch` holds the state of one batch between their calls, for `generate`
and for the server.
"""

from thinkaloud.rollout.generate import Sampled, generate
from thinkaloud.rollout.sampler import JaxSampler, Sampler
from thinkaloud.rollout.sampling import Sampling

__all__ = ["JaxSampler", "Sampled", "Sampler", "Sampling", "generate"]
