"""A shuffle that is computed, not stored: the place of any one item in microseconds, for any number of items.

A Feistel network over the fewest bits that hold all indices is a bijection whatever its round function does; results
that are no index are sent through again until one is ("cycle walking": J. Black and P. Rogaway, "Ciphers with
arbitrary finite domains", CT-RSA 2002). At most half of the numbers are no index, so two passes are usual.
"""

from __future__ import annotations

from thinkaloud.seeding import derive_seed

ROUNDS = 8
_MASK = 2**64 - 1


class Shuffle:
    """A permutation of `range(size)`, fixed by the seed: `shuffle[i]` is what stands at place i.

    Args:
        size: At least 1.
        seed: Any integer.
    """

    def __init__(self, size: int, seed: int) -> None:
        assert size >= 1, "there is nothing to shuffle"
        bits = max(2, (size - 1).bit_length())
        self._size = size
        self._low_bits, self._high_bits = bits // 2, bits - bits // 2
        self._keys = [derive_seed(seed, "round", number) for number in range(ROUNDS)]

    def __getitem__(self, place: int) -> int:
        assert 0 <= place < self._size, f"place {place} of {self._size}"
        value = self._pass(place)
        while value >= self._size:
            value = self._pass(value)
        return value

    def _pass(self, value: int) -> int:
        """One passage: the halves take turns, each changed by a hash of the other."""
        low_mask, high_mask = (1 << self._low_bits) - 1, (1 << self._high_bits) - 1
        low, high = value & low_mask, value >> self._low_bits
        for number, key in enumerate(self._keys):
            if number % 2:
                low ^= _mix(high ^ key) & low_mask
            else:
                high ^= _mix(low ^ key) & high_mask
        return high << self._low_bits | low


def _mix(value: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit hangs on every other."""
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & _MASK
    return value ^ value >> 31
