"""The order of samples: random, yet with samples of similar length beside each other."""

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

# Batches that are sorted together: enough to pad little, few enough to stay random.
BATCHES_A_GROUP = 32


class LengthGroupedSampler(Sampler[int]):
    """Every sample once an epoch, in an order that seed and epoch alone decide.

    Samples are shuffled, cut into groups of BATCHES_A_GROUP batches and sorted by length inside a group; the
    batches of a group are shuffled again, so that length does not follow the course of training.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int):
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch; also what a resumed run calls."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        group_size = self.batch_size * BATCHES_A_GROUP
        for start in range(0, len(order), group_size):
            group = sorted(order[start : start + group_size], key=lambda i: self.lengths[i], reverse=True)
            batches = [group[i : i + self.batch_size] for i in range(0, len(group), self.batch_size)]
            # an unfilled batch stays last: in front it would shift the borders of all that follow
            full = len(group) // self.batch_size
            for number in [*torch.randperm(full, generator=generator).tolist(), *range(full, len(batches))]:
                yield from batches[number]
