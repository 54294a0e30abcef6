"""Token ids in, groups of completions with their log-probabilities out.

`generate` is the one entrance, for training, evaluation and chat alike; `sampling` says how a token is chosen,
`decode` holds what runs on the device.
"""

from thinkaloud.rollout.generate import Sampled, generate
from thinkaloud.rollout.sampling import Sampling

__all__ = ["Sampled", "Sampling", "generate"]
