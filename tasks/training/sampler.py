"""The order of samples in an epoch: random, with samples of similar length in the same batch."""

from collections.abc import Iterator, Sequence
from math import gcd

import torch
from torch.utils.data import Sampler

from tasks.settings import TrainingConfig
from tasks.training.samples import Sample

# Batches that are sorted together: enough for little padding, few enough to stay random.
BATCHES_PER_GROUP = 32
# Consecutive batches of similar length, at most: so that no device waits for another's longer batch.
MAX_SIMILAR_BATCHES = 8
# Larger than any number of epochs, so that no two pairs of seed and epoch share a generator.
SEED_FACTOR = 1_000_003


class EpochSampler(Sampler[int]):
    """Yields every index once per epoch, in an order that depends only on seed and epoch.

    `lengths` holds one int per sample; `batch_size` is the number of samples per batch.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int):
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch for the next iteration; also called when a run is resumed."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order(torch.Generator().manual_seed(self.seed * SEED_FACTOR + self.epoch)))

    def order(self, generator: torch.Generator) -> list[int]:
        """A permutation of all indices for one epoch, drawn with `generator`."""
        raise NotImplementedError


class LengthGroupedSampler(EpochSampler):
    """Groups by number of tokens; `batch_size` is the total of the batches that devices process in parallel.

    Samples are shuffled, divided into groups of BATCHES_PER_GROUP batches, and sorted by length within each group;
    the batches of a group are shuffled again, so that lengths do not rise or fall over a group.
    """

    def order(self, generator: torch.Generator) -> list[int]:
        shuffled = torch.randperm(len(self.lengths), generator=generator).tolist()
        group_size = self.batch_size * BATCHES_PER_GROUP
        order: list[int] = []
        for start in range(0, len(shuffled), group_size):
            group = sorted(shuffled[start : start + group_size], key=lambda i: self.lengths[i], reverse=True)
            batches = [group[i : i + self.batch_size] for i in range(0, len(group), self.batch_size)]
            # an incomplete batch stays last: anywhere else it would shift all later batches
            full = len(group) // self.batch_size
            for number in [*torch.randperm(full, generator=generator).tolist(), *range(full, len(batches))]:
                order += batches[number]
        return order


class ReferenceSampler(EpochSampler):
    """Groups as LLaVA does: by words, and samples with an image separately from those without (negative lengths).

    `batch_size` is per device; a group has `batches` batches, one for each device and micro-batch of a step.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, batches: int, seed: int):
        super().__init__(lengths, batch_size, seed)
        self.batches = batches

    def order(self, generator: torch.Generator) -> list[int]:
        return modality_grouped(self.lengths, self.batch_size, self.batches, generator, generator)


def train_sampler(samples: Sequence[Sample], config: TrainingConfig, batch_size: int, devices: int) -> EpochSampler:
    """The sampler for these settings; `batch_size` is per device.

    Its order depends only on the number of batches per step, not on how devices and accumulation divide them.
    """
    batches = devices * config.gradient_accumulation_steps
    if not config.group_by_modality_length:
        return LengthGroupedSampler([0] * len(samples), batch_size, config.seed)
    if config.length_grouping == "reference":
        return ReferenceSampler([sample.words for sample in samples], batch_size, batches, config.seed)
    parallel = batch_size * gcd(batches, MAX_SIMILAR_BATCHES)
    return LengthGroupedSampler([sample.length for sample in samples], parallel, config.seed)


def modality_grouped(
    lengths: Sequence[int],
    batch_size: int,
    batches: int,
    generator: torch.Generator,
    group_generator: torch.Generator,
) -> list[int]:
    """LLaVA's order of samples with an image (length above 0) and without (below 0).

    The samples of each kind are grouped by length with `generator` and divided into groups; complete groups are
    shuffled with `group_generator`, and the remainders of both kinds come last. If all samples are of one kind, they
    are grouped with `group_generator`, those without an image shortest first.
    Source: `get_modality_length_grouped_indices` of the LLaVA reference.
    """
    kinds = [[i for i, length in enumerate(lengths) if (length > 0) == has_image] for has_image in (True, False)]
    if not all(kinds):
        return length_grouped(lengths, batch_size, batches, group_generator)
    size = batch_size * batches
    groups, rest = [], []
    for kind in kinds:
        grouped = length_grouped([abs(lengths[i]) for i in kind], batch_size, batches, generator)
        cut = [[kind[i] for i in grouped[start : start + size]] for start in range(0, len(grouped), size)]
        # the last group counts as remainder even if it is complete
        groups += cut[:-1]
        rest += cut[-1]
    shuffled = torch.randperm(len(groups), generator=group_generator).tolist()
    return [index for number in shuffled for index in groups[number]] + sorted(rest)


def length_grouped(lengths: Sequence[int], batch_size: int, batches: int, generator: torch.Generator) -> list[int]:
    """LLaVA's order by length: random groups of `batches` batches, divided into batches of similar total length.

    Source: `get_length_grouped_indices` of the LLaVA reference.
    """
    shuffled = torch.randperm(len(lengths), generator=generator).tolist()
    size = batch_size * batches
    order: list[int] = []
    for start in range(0, len(shuffled), size):
        group = sorted(shuffled[start : start + size], key=lambda i: lengths[i], reverse=True)
        order += [index for batch in split_evenly(group, lengths, batches) for index in batch]
    return order


def split_evenly(group: Sequence[int], lengths: Sequence[int], batches: int) -> list[list[int]]:
    """Divide a group into batches of equal size: each sample, longest first, goes to the shortest batch with room.

    A group that does not divide evenly is distributed round-robin.
    Source: `split_to_even_chunks` of the LLaVA reference.
    """
    if len(group) % batches:
        return [list(group[first::batches]) for first in range(batches)]
    split: list[list[int]] = [[] for _ in range(batches)]
    sums = [0.0] * batches
    for index in group:
        shortest = sums.index(min(sums))
        split[shortest].append(index)
        sums[shortest] += lengths[index]
        if len(split[shortest]) == len(group) // batches:
            sums[shortest] = float("inf")
    return split


def padding_share(order: Sequence[int], lengths: Sequence[int], batch_size: int) -> float:
    """Share of padding, 0 to 1, if batches of `batch_size` samples in this order are padded to their longest."""
    batches = [[lengths[i] for i in order[start : start + batch_size]] for start in range(0, len(order), batch_size)]
    slots = sum(max(batch) * len(batch) for batch in batches)
    return 1 - sum(map(sum, batches)) / slots if slots else 0.0
