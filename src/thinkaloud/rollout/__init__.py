"""Token ids in, groups of completions with their log-probabilities out.

`generate` serves training, evaluation and chat. `sampling` chooses tokens, `decode` holds the programs that run on the
device, and `decode_batch` holds the state of one batch between their calls, for `generate` and for the server.
"""

from thinkaloud.rollout.generate import Sampled, generate
from thinkaloud.rollout.sampling import Sampling

__all__ = ["Sampled", "Sampling", "generate"]
