"""ROUGE-L with the values of pycocoevalcap, whose table of the longest common subsequence is here one whole number."""

from collections import defaultdict
from collections.abc import Sequence

BETA = 1.2


def rouge_score(hypothesis: str, references: Sequence[str]) -> float:
    """ROUGE-L of a caption, equal to Rouge.calc_score of pycocoevalcap; tokens are separated by single spaces."""
    tokens = hypothesis.split(" ")
    positions: dict[str, int] = defaultdict(int)
    for position, token in enumerate(tokens):
        positions[token] |= 1 << position
    others = [reference.split(" ") for reference in references]
    common = [longest_common(positions, len(tokens), other) for other in others]
    precision = max(length / len(tokens) for length in common)
    recall = max(length / len(other) for length, other in zip(common, others, strict=True))
    if not precision or not recall:
        return 0.0
    return ((1 + BETA**2) * precision * recall) / (recall + BETA**2 * precision)


def longest_common(positions: dict[str, int], length: int, other: Sequence[str]) -> int:
    """The length of the longest common subsequence of a sequence of `length` tokens and another.

    `positions` has for each token the bits of its positions. The bits that are 0 in the row mark where the common
    subsequence becomes longer; the addition carries to all columns at once. Source: Hyyro 2004.
    """
    full = (1 << length) - 1
    row = full
    for token in other:
        matches = row & positions.get(token, 0)
        row = ((row + matches) | (row - matches)) & full
    return length - row.bit_count()
