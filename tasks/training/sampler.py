"""The order of samples: random, yet with samples of similar length beside each other."""

from collections.abc import Iterator, Sequence
from math import gcd

import torch
from torch.utils.data import Sampler

from tasks.settings import TrainingConfig
from tasks.training.samples import Sample

# Batches that are sorted together: enough to pad little, few enough to stay random.
BATCHES_A_GROUP = 32
# Batches of one length that stand side by side at most, so that no device waits for another's longer one.
MOST_SIDE_BY_SIDE = 8
SEEDS_APART = 1_000_003


class EpochSampler(Sampler[int]):
    """Every sample once an epoch, in an order that seed and epoch alone decide."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int):
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch; also what a resumed run calls."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order(torch.Generator().manual_seed(self.seed * SEEDS_APART + self.epoch)))

    def order(self, generator: torch.Generator) -> list[int]:
        """The order of one epoch, drawn from `generator`."""
        raise NotImplementedError


class LengthGroupedSampler(EpochSampler):
    """Groups by tokens; `batch_size` is that of the batches that devices work on side by side, all together.

    Samples are shuffled, cut into groups of BATCHES_A_GROUP batches and sorted by length inside a group; the
    batches of a group are shuffled again, so that length does not follow the course of training.
    """

    def order(self, generator: torch.Generator) -> list[int]:
        shuffled = torch.randperm(len(self.lengths), generator=generator).tolist()
        group_size = self.batch_size * BATCHES_A_GROUP
        order: list[int] = []
        for start in range(0, len(shuffled), group_size):
            group = sorted(shuffled[start : start + group_size], key=lambda i: self.lengths[i], reverse=True)
            batches = [group[i : i + self.batch_size] for i in range(0, len(group), self.batch_size)]
            # an unfilled batch stays last: in front it would shift the borders of all that follow
            full = len(group) // self.batch_size
            for number in [*torch.randperm(full, generator=generator).tolist(), *range(full, len(batches))]:
                order += batches[number]
        return order


class ReferenceSampler(EpochSampler):
    """Groups as LLaVA does: by words, samples with an image apart from those without, whose words count below 0.

    `batch_size` is that of one device; a group holds `batches` of them, one for each device and each micro-batch
    of a step.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, batches: int, seed: int):
        super().__init__(lengths, batch_size, seed)
        self.batches = batches

    def order(self, generator: torch.Generator) -> list[int]:
        return modality_grouped(self.lengths, self.batch_size, self.batches, generator, generator)


def train_sampler(samples: Sequence[Sample], config: TrainingConfig, batch_size: int, devices: int) -> EpochSampler:
    """The sampler that the settings ask for; `batch_size` is that of one device.

    Its order follows from the batches of a step, however they are divided among devices and accumulation.
    """
    batches = devices * config.gradient_accumulation_steps
    if not config.group_by_modality_length:
        return LengthGroupedSampler([0] * len(samples), batch_size, config.seed)
    if config.length_grouping == "reference":
        return ReferenceSampler([sample.words for sample in samples], batch_size, batches, config.seed)
    side_by_side = batch_size * gcd(batches, MOST_SIDE_BY_SIDE)
    return LengthGroupedSampler([sample.length for sample in samples], side_by_side, config.seed)


def modality_grouped(
    lengths: Sequence[int],
    batch_size: int,
    batches: int,
    generator: torch.Generator,
    group_generator: torch.Generator,
) -> list[int]:
    """LLaVA's order of samples with (length above 0) and without (below 0) an image.

    The samples of each kind are grouped by length with draws from `generator` and cut into groups; whole groups
    are shuffled with `group_generator`, and what is left over of both kinds stands last. Samples of one kind alone
    are grouped with `group_generator`, those without an image shortest first.
    Source: `get_modality_length_grouped_indices` of the LLaVA reference.
    """
    kinds = [[i for i, length in enumerate(lengths) if (length > 0) == shown] for shown in (True, False)]
    if not all(kinds):
        return length_grouped(lengths, batch_size, batches, group_generator)
    size = batch_size * batches
    groups, rest = [], []
    for kind in kinds:
        placed = length_grouped([abs(lengths[i]) for i in kind], batch_size, batches, generator)
        cut = [[kind[i] for i in placed[start : start + size]] for start in range(0, len(placed), size)]
        # the last group counts as left over even where it is full
        groups += cut[:-1]
        rest += cut[-1]
    shuffled = torch.randperm(len(groups), generator=group_generator).tolist()
    return [index for number in shuffled for index in groups[number]] + sorted(rest)


def length_grouped(lengths: Sequence[int], batch_size: int, batches: int, generator: torch.Generator) -> list[int]:
    """LLaVA's order by length: groups of `batches` batches at random, each dealt out so that its batches are equally
    long in sum.

    Source: `get_length_grouped_indices` of the LLaVA reference.
    """
    shuffled = torch.randperm(len(lengths), generator=generator).tolist()
    size = batch_size * batches
    order: list[int] = []
    for start in range(0, len(shuffled), size):
        group = sorted(shuffled[start : start + size], key=lambda i: lengths[i], reverse=True)
        order += [index for batch in deal_evenly(group, lengths, batches) for index in batch]
    return order


def deal_evenly(group: Sequence[int], lengths: Sequence[int], batches: int) -> list[list[int]]:
    """Deal a group out to batches of one size: each sample, longest first, to the shortest batch with room.

    A group that does not divide evenly is dealt out in turn. Source: `split_to_even_chunks` of the LLaVA reference.
    """
    if len(group) % batches:
        return [list(group[first::batches]) for first in range(batches)]
    dealt: list[list[int]] = [[] for _ in range(batches)]
    sums = [0.0] * batches
    for index in group:
        shortest = sums.index(min(sums))
        dealt[shortest].append(index)
        sums[shortest] += lengths[index]
        if len(dealt[shortest]) == len(group) // batches:
            sums[shortest] = float("inf")
    return dealt


def padding_share(order: Sequence[int], lengths: Sequence[int], batch_size: int) -> float:
    """Share of padding in batches of `batch_size` samples in this order, each padded to its longest; 0 to 1."""
    batches = [[lengths[i] for i in order[start : start + batch_size]] for start in range(0, len(order), batch_size)]
    places = sum(max(batch) * len(batch) for batch in batches)
    return 1 - sum(map(sum, batches)) / places if places else 0.0
