"""Find near pairs among many 64-bit hashes without comparing all pairs.

A hash is the signs of 64 values; copies differ in the signs of values near 0. So two hashes are compared when one of
their four quarters agrees up to the five least certain bits of either (multi-probe hashing, Lv et al., VLDB 2007):
32 lookups per quarter, whatever the number of hashes.
"""

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

QUARTERS, QUARTER_BITS = 4, 16
UNCERTAIN_BITS = 5
# Hashes that are near by chance rarely have correlated values, which are compared faster than images.
MIN_CORRELATION = 0.85
CHUNK = 1 << 16


def sign_hashes(values: "np.ndarray") -> "np.ndarray":
    """The signs of values of shape (n, 64) as uint64 of shape (n,); bit 0 is the sign of the first value."""
    import numpy as np

    return np.packbits(values > 0, axis=1, bitorder="little").view("<u8")[:, 0]


def near_pairs(values: "np.ndarray", within_bits: int) -> "np.ndarray":
    """Find the pairs first < second whose hashes differ in at most `within_bits` and whose values correlate.

    `values` has shape (n, 64). Returns each pair once as the code first * n + second, int64, ascending.
    """
    import numpy as np

    hashes = sign_hashes(values)
    found = [codes for quarter in range(QUARTERS) for codes in _candidates(values, hashes, quarter, within_bits)]
    codes = np.sort(np.concatenate(found))
    # np.unique takes twenty times as long
    codes = codes[np.diff(codes, prepend=-1) > 0]
    # without the first value, which is the brightness
    units = values[:, 1:] / np.maximum(np.linalg.norm(values[:, 1:], axis=1, keepdims=True), 1e-9)
    chunks = [codes[start : start + CHUNK] for start in range(0, len(codes), CHUNK)]
    return np.concatenate([codes[:0], *(chunk[_correlated(units, chunk)] for chunk in chunks)])


def _correlated(units: "np.ndarray", codes: "np.ndarray") -> "np.ndarray":
    import numpy as np

    first, second = np.divmod(codes, len(units))
    return np.einsum("ij,ij->i", units[first], units[second]) >= MIN_CORRELATION


def _candidates(values: "np.ndarray", hashes: "np.ndarray", quarter: int, within_bits: int) -> Iterator["np.ndarray"]:
    import numpy as np

    count, begin = len(hashes), quarter * QUARTER_BITS
    keys = (hashes >> np.uint64(begin)).astype(np.uint16).astype(np.int64)
    certainty = np.abs(values[:, begin : begin + QUARTER_BITS])
    uncertain = 1 << np.argpartition(certainty, UNCERTAIN_BITS, axis=1)[:, :UNCERTAIN_BITS]
    order = np.argsort(keys, kind="stable")
    ordered = hashes[order]
    # start of each key's hashes in that order
    starts = np.concatenate(([0], np.cumsum(np.bincount(keys, minlength=1 << QUARTER_BITS))))
    for flips in product((0, 1), repeat=UNCERTAIN_BITS):
        probed = keys ^ (uncertain @ np.array(flips))
        sizes = starts[probed + 1] - starts[probed]
        first = np.repeat(np.arange(count), sizes)
        # the index of each match in that order
        ends = np.cumsum(sizes)
        matches = np.arange(len(first)) + np.repeat(starts[probed] - ends + sizes, sizes)
        near = np.flatnonzero(np.bitwise_count(np.repeat(hashes, sizes) ^ ordered[matches]) <= within_bits)
        first, second = first[near], order[matches[near]]
        apart = first != second
        yield (np.minimum(first, second) * count + np.maximum(first, second))[apart]
