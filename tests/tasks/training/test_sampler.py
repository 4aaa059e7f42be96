"""The order of samples depends only on seed and epoch, with similar lengths in the same batch."""

import json
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from support.locations import ORACLE

from tasks.model.encoding import EncodedConversation
from tasks.settings import TrainingConfig
from tasks.training.sampler import (
    LengthGroupedSampler,
    ReferenceSampler,
    length_grouped,
    modality_grouped,
    padding_share,
    split_evenly,
    train_sampler,
)
from tasks.training.samples import Sample, word_count

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
def test_every_sample_occurs_once_per_epoch(count: int) -> None:
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


def test_batch_holds_samples_of_similar_length() -> None:
    def spread(indices: list[int]) -> float:
        spreads = [max(batch) - min(batch) for batch in batches(indices)]
        return sum(spreads) / len(spreads)

    assert spread(order()) < spread(order(lengths=[0] * 500)) / 10


def test_lengths_do_not_rise_or_fall_during_an_epoch() -> None:
    longest = [max(batch) for batch in batches(order())]
    rises = sum(a < b for a, b in pairwise(longest))
    assert len(longest) // 4 < rises < 3 * len(longest) // 4


@cache
def golden() -> dict[str, Any]:
    if not (ORACLE / "sampler.json").exists():
        pytest.skip("golden values not present")
    return json.loads((ORACLE / "sampler.json").read_text())


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def reference_order(case: dict[str, Any], generator: torch.Generator) -> list[int]:
    """The order of a case, drawn from `generator` where the reference draws from torch's own."""
    lengths = golden()["lengths"][case["lengths"]]
    own = seeded(case["generator_seed"]) if case["generator_seed"] is not None else generator
    shape = (case["batch_size"], case["world_size"])
    if case["fn"] == "length":
        return length_grouped([abs(length) for length in lengths], *shape, own)
    return modality_grouped(lengths, *shape, generator, own)


def test_orders_and_random_states_equal_the_reference() -> None:
    cases = golden()["cases"]
    assert len(cases) == 225
    for case in cases:
        generator = seeded(case["seed"])
        assert reference_order(case, generator) == case["indices"], case
        assert int(torch.randint(0, 2**31, (1,), generator=generator)) == case["global_rng_next"], case


def test_batches_are_split_as_in_the_reference() -> None:
    for case in golden()["split_to_even_chunks"]:
        assert split_evenly(case["indices"], case["lengths"], case["num_chunks"]) == case["out"]


def test_word_counts_equal_the_reference() -> None:
    expected = golden()["dataset_modality_lengths_of_prompts_v1"]
    lines = (ORACLE / "prompts_v1.jsonl").read_text().split("\n")
    records = [json.loads(line) for line in lines if line]
    found = [
        word_count([turn["value"] for turn in record["conversations"]], bool(record.get("image"))) for record in records
    ]
    # the file has a part of the counted records, in the same order
    counted = iter(expected)
    assert len(found) == 105
    assert all(words in counted for words in found)


def test_order_of_a_small_set_equals_the_reference() -> None:
    lengths = [5, -3, 7, -9, 2, 4, -1, 6]
    # equal to the reference's order, which is not available everywhere
    assert modality_grouped(lengths, 2, 1, generator := seeded(0), generator) == [2, 5, 3, 6, 7, 0, 1, 4]


def sample(length: int, words: int) -> Sample:
    return Sample("id", (), EncodedConversation([], []), length, words)


def test_the_settings_choose_the_sampler() -> None:
    samples = [sample(number % 7 + 1, number % 5 + 1) for number in range(40)]
    settings = {"gradient_accumulation_steps": 3, "seed": 5}
    by_tokens = train_sampler(samples, TrainingConfig(**settings), 2, 4)
    by_words = train_sampler(samples, TrainingConfig(**settings, length_grouping="reference"), 2, 4)
    ungrouped = train_sampler(samples, TrainingConfig(**settings, group_by_modality_length=False), 2, 4)
    assert isinstance(by_tokens, LengthGroupedSampler)
    assert by_tokens.lengths == [s.length for s in samples]
    assert isinstance(by_words, ReferenceSampler)
    assert (by_words.lengths, by_words.batch_size, by_words.batches) == ([s.words for s in samples], 2, 12)
    assert set(ungrouped.lengths) == {0}


@pytest.mark.parametrize("grouping", [{}, {"length_grouping": "reference"}, {"group_by_modality_length": False}])
def test_order_does_not_depend_on_the_number_of_devices(grouping: dict[str, Any]) -> None:
    samples = [sample(number % 7 + 1, number % 5 + 1) for number in range(100)]
    orders = {
        tuple(train_sampler(samples, TrainingConfig(gradient_accumulation_steps=12 // devices, **grouping), 2, devices))
        for devices in (1, 2, 4, 12)
    }
    assert len(orders) == 1


def test_parallel_batches_have_similar_lengths() -> None:
    samples = [sample(length, 1) for length in LENGTHS]
    sampler = train_sampler(samples, TrainingConfig(gradient_accumulation_steps=5), 2, 4)
    longest = [LENGTHS[i] for i in list(sampler)[::2]]
    waits = [max(side) - min(side) for side in zip(*(longest[rank::4] for rank in range(4)), strict=False)]
    assert sum(waits) / len(waits) < 4


def test_reference_sampler_depends_on_seed_and_epoch() -> None:
    sampler = ReferenceSampler(LENGTHS[1:], 4, 2, seed=1)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert sorted(first) == list(range(499))


def test_padding_share_is_relative_to_the_longest_sample_of_each_batch() -> None:
    assert padding_share([0, 1, 2, 3], [10, 5, 4, 4], 2) == pytest.approx(5 / 28)
    assert padding_share([3, 2, 1, 0], [4, 4, 4, 4], 2) == 0
    assert padding_share([], [], 2) == 0


def test_grouping_by_tokens_pads_less_than_the_reference() -> None:
    def share(sampler: LengthGroupedSampler | ReferenceSampler) -> float:
        return padding_share(list(sampler), LENGTHS, 4)

    assert share(LengthGroupedSampler(LENGTHS, 4, 1)) < share(ReferenceSampler(LENGTHS[:], 4, 4, 1)) / 2
