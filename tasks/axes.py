"""Axes of charts that start at 0 and have round marks."""

import math

# distances between two marks, times a power of ten
ROUND = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


def axis_end(highest: float, intervals: int, whole: bool = False) -> float:
    """The smallest end of an axis with this many intervals that has round marks and holds `highest`, which is above 0.

    With `whole` the marks are integers.
    """
    distance = highest / intervals
    size = 10.0 ** math.floor(math.log10(distance))
    distance = size * next(factor for factor in ROUND if factor >= distance / size - 1e-9)
    return intervals * (math.ceil(distance) if whole else distance)
