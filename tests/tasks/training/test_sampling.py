"""The order of samples is decided by seed and epoch, with similar lengths beside each other."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from tasks.training.sampling import LengthGroupedSampler

LENGTHS = [(number * 37) % 101 for number in range(500)]


def order(seed: int = 1, epoch: int = 0, batch_size: int = 8, lengths: list[int] = LENGTHS) -> list[int]:
    sampler = LengthGroupedSampler(lengths, batch_size, seed)
    sampler.set_epoch(epoch)
    assert len(sampler) == len(lengths)
    return list(sampler)


def batches(indices: list[int]) -> Iterator[list[int]]:
    """The lengths in each batch of 8."""
    for start in range(0, len(indices), 8):
        yield [LENGTHS[i] for i in indices[start : start + 8]]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 255, 256, 257, 500])
def test_every_sample_comes_once_an_epoch(count: int) -> None:
    assert sorted(order(lengths=LENGTHS[:count])) == list(range(count))


def test_seed_and_epoch_decide_the_order() -> None:
    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1, 2)}) == 6


def test_set_epoch_changes_the_order_of_the_same_sampler() -> None:
    sampler = LengthGroupedSampler(LENGTHS, 8, 1)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    sampler.set_epoch(0)
    assert (list(sampler), second == first) == (first, False)


def test_a_batch_holds_samples_of_similar_length() -> None:
    def spread(indices: list[int]) -> float:
        spreads = [max(batch) - min(batch) for batch in batches(indices)]
        return sum(spreads) / len(spreads)

    assert spread(order()) < spread(order(lengths=[0] * 500)) / 10


def test_length_does_not_follow_the_course_of_training() -> None:
    longest = [max(batch) for batch in batches(order())]
    rises = sum(a < b for a, b in pairwise(longest))
    assert len(longest) // 4 < rises < 3 * len(longest) // 4
