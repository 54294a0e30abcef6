"""Seeds derived by hashing labels, never by adding: neighbouring labels share nothing."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *labels: str | int) -> int:
    """A 63-bit seed for (seed, labels): the first eight bytes of a SHA-256, the top bit cleared.

    >>> derive_seed(0, "rollout", 1) == derive_seed(0, "rollout", 1)
    True
    >>> derive_seed(0, "rollout", 1) == derive_seed(1, "rollout", 0)
    False
    """
    text = "\x1f".join([str(seed), *(f"{type(label).__name__}:{label}" for label in labels)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
