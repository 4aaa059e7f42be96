"""Divide records into train, validation and test, and reduce a test set, by one of two protocols.

grouped: all records of an image, and of those that show the same, go to one set, so that nothing of the test has been
seen in training.
reference: the partition of the reference scripts, record by record within each source.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.data.partitioning import divide, smallest
from tasks.data.records_file import Record
from tasks.errors import ConfigError
from tasks.image_paths import image_key
from tasks.sources import source_of

Protocol = Literal["grouped", "reference"]

# of shares that make 1, such as 0.7 and 0.3
ROUNDING = 1e-9


@dataclass(frozen=True)
class Split:
    """Three sets of records, and how many records the protocol left out."""

    train: list[Record]
    val: list[Record]
    test: list[Record]
    lost: int


def split_records(
    records: Sequence[Record],
    train: float,
    test: float,
    seed: int,
    protocol: Protocol,
    together: Mapping[str, str] | None = None,
) -> Split:
    """Divide records; `train` and `test` are shares of each source, the rest validates.

    `together` names, by image, the image whose set it goes to; the reference protocol knows no such thing.
    Raises ConfigError when a share is no share or both make more than 1.
    """
    if not (0 <= train <= 1 and 0 <= test <= 1 and train + test <= 1 + ROUNDING):
        raise ConfigError(f"train {train} and test {test} must lie between 0 and 1 and make at most 1: change them.")
    if protocol == "reference":
        chosen = _split_reference(records, train, test, seed)
    else:
        chosen = _split_grouped(_by_image(records, together or {}), train, test, seed)
    in_train, in_val, in_test = ([records[index] for index in indices] for indices in chosen)
    return Split(in_train, in_val, in_test, len(records) - len(in_train) - len(in_val) - len(in_test))


def leaves_validation(train: float, test: float, protocol: Protocol) -> bool:
    """Whether train and test leave a share for the validation: else there are two sets, and no empty third."""
    # the reference compares without slack
    return train + test < 1 - (0 if protocol == "reference" else ROUNDING)


def reduce_records(records: Sequence[Record], ratio: float, seed: int, protocol: Protocol) -> list[Record]:
    """Keep a share of each source's records, in their order; above 0, at least one image a source when grouped.

    Raises ConfigError when the ratio is not above 0 and at most 1, and when it leaves nothing, which it can by the
    reference protocol alone.
    """
    if not 0 < ratio <= 1:
        raise ConfigError(f"ratio {ratio} must lie above 0 and be at most 1: change it.")
    kept = _share_of_reference(records, ratio, seed) if protocol == "reference" else _share(records, ratio, seed)
    if records and not kept:
        raise ConfigError(
            f"A share of {ratio} of {len(records)} records is none by the reference protocol, which rounds down: "
            "give a larger one, or take the grouped protocol."
        )
    return [records[index] for index in kept]


def _share(records: Sequence[Record], ratio: float, seed: int) -> list[int]:
    kept: list[int] = []
    for groups in _by_image(records, {}):
        number = sum(map(len, groups.values()))
        keep = max(1, round(number * ratio))
        kept += divide(groups, (keep, number - keep), f"reduce:{seed}")[0] or smallest(groups, f"reduce:{seed}")
    return sorted(kept)


def _share_of_reference(records: Sequence[Record], ratio: float, seed: int) -> list[int]:
    generator = random.Random(seed)  # noqa: S311 - the reference's own generator
    kept: list[int] = []
    for indices in _by_folder(records):
        shuffled = list(range(len(indices)))
        generator.shuffle(shuffled)
        kept += _in_order(indices, shuffled[: int(len(indices) * ratio)])
    return kept


def _by_folder(records: Sequence[Record]) -> list[list[int]]:
    folders: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        folders.setdefault(source_of(record["image"]), []).append(index)
    return list(folders.values())


def _in_order(indices: Sequence[int], places: Sequence[int]) -> list[int]:
    return [indices[place] for place in sorted(places)]


def _split_reference(records: Sequence[Record], train: float, test: float, seed: int) -> list[list[int]]:
    # One generator for the whole run, and int() on each share: that is how the reference loses records.
    generator = random.Random(seed)  # noqa: S311 - the reference's own generator
    sets: list[list[int]] = [[], [], []]
    for indices in _by_folder(records):
        places = list(range(len(indices)))
        generator.shuffle(places)
        first = int(len(places) * train)
        second = first + int(len(places) * test)
        rest = places[second:] if leaves_validation(train, test, "reference") else []
        for chosen, part in zip(sets, (places[:first], rest, places[first:second]), strict=True):
            chosen += _in_order(indices, part)
    return sets


def _by_image(records: Sequence[Record], together: Mapping[str, str]) -> list[dict[str, list[int]]]:
    sources: dict[str, dict[str, list[int]]] = {}
    for index, record in enumerate(records):
        image = image_key(together.get(record["image"], record["image"]))
        sources.setdefault(source_of(image), {}).setdefault(image, []).append(index)
    return list(sources.values())


def _split_grouped(sources: Sequence[Mapping[str, list[int]]], train: float, test: float, seed: int) -> list[list[int]]:
    sets: list[list[int]] = [[], [], []]
    for groups in sources:
        number = sum(map(len, groups.values()))
        targets = _targets(number, train, test)
        for chosen, part in zip(sets, divide(groups, targets, f"split:{seed}"), strict=True):
            chosen += part
    return [sorted(part) for part in sets]


def _targets(number: int, train: float, test: float) -> tuple[int, int, int]:
    for_train = round(number * train)
    if not leaves_validation(train, test, "grouped"):
        return for_train, 0, number - for_train
    for_test = min(round(number * test), number - for_train)
    return for_train, number - for_train - for_test, for_test
