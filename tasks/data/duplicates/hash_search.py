"""Which of many 64-bit hashes are near each other, without comparing each with each.

A hash is the signs of 64 values, and of two copies those signs differ whose values are nearly 0. So two hashes are
compared when one of their four quarters is the same up to the five bits that are doubtful in one of them (multi-probe
hashing, Lv et al., VLDB 2007): 32 places to look at in each quarter, whatever the number of hashes.
"""

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

QUARTERS, QUARTER_BITS = 4, 16
DOUBTFUL_BITS = 5
# Where many hashes are near by chance, their values seldom are, and are compared faster than images.
LEAST_CORRELATION = 0.85
CHUNK = 1 << 16


def hashes_of(values: "np.ndarray") -> "np.ndarray":
    """The signs of values of shape (n, 64) as uint64; bit 0 is that of the first value."""
    import numpy as np

    return np.packbits(values > 0, axis=1, bitorder="little").view("<u8")[:, 0]


def near_pairs(values: "np.ndarray", within_bits: int) -> "np.ndarray":
    """The pairs of indices first < second whose hashes differ in at most `within_bits` and whose values correlate.

    Each once, as codes first * n + second, ascending.
    """
    import numpy as np

    hashes = hashes_of(values)
    found = [codes for quarter in range(QUARTERS) for codes in _sharing(values, hashes, quarter, within_bits)]
    codes = np.sort(np.concatenate(found))
    # np.unique hashes, which takes twenty times as long
    codes = codes[np.diff(codes, prepend=-1) > 0]
    # the first value is the brightness
    units = values[:, 1:] / np.maximum(np.linalg.norm(values[:, 1:], axis=1, keepdims=True), 1e-9)
    chunks = [codes[start : start + CHUNK] for start in range(0, len(codes), CHUNK)]
    return np.concatenate([codes[:0], *(chunk[_correlated(units, chunk)] for chunk in chunks)])


def _correlated(units: "np.ndarray", codes: "np.ndarray") -> "np.ndarray":
    import numpy as np

    first, second = np.divmod(codes, len(units))
    return np.einsum("ij,ij->i", units[first], units[second]) >= LEAST_CORRELATION


def _sharing(values: "np.ndarray", hashes: "np.ndarray", quarter: int, within_bits: int) -> Iterator["np.ndarray"]:
    import numpy as np

    count, begin = len(hashes), quarter * QUARTER_BITS
    keys = (hashes >> np.uint64(begin)).astype(np.uint16).astype(np.int64)
    certainty = np.abs(values[:, begin : begin + QUARTER_BITS])
    doubtful = 1 << np.argpartition(certainty, DOUBTFUL_BITS, axis=1)[:, :DOUBTFUL_BITS]
    order = np.argsort(keys, kind="stable")
    ordered = hashes[order]
    # where the hashes of each key begin in that order
    begins = np.concatenate(([0], np.cumsum(np.bincount(keys, minlength=1 << QUARTER_BITS))))
    for flips in product((0, 1), repeat=DOUBTFUL_BITS):
        sought = keys ^ (doubtful @ np.array(flips))
        sizes = begins[sought + 1] - begins[sought]
        first = np.repeat(np.arange(count), sizes)
        # the places of each run of matches
        ends = np.cumsum(sizes)
        places = np.arange(len(first)) + np.repeat(begins[sought] - ends + sizes, sizes)
        near = np.flatnonzero(np.bitwise_count(np.repeat(hashes, sizes) ^ ordered[places]) <= within_bits)
        first, second = first[near], order[places[near]]
        apart = first != second
        yield (np.minimum(first, second) * count + np.maximum(first, second))[apart]
