"""Divide records into train, validation and test by one of three protocols; the first two also reduce a test set.

grouped: all records of an image and of its near-duplicates go to one set, so that no test image is seen in training.
reference: the partition of the reference scripts, record by record within each source.
own: the division of the data set itself, as its records state in `split`.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from tasks.choices import SplitProtocol
from tasks.data.partitioning import divide, smallest
from tasks.data.records_file import AnyRecord, own_split
from tasks.errors import ConfigError
from tasks.image_paths import image_key
from tasks.sources import source_of

# tolerance of shares that sum to 1, such as 0.7 and 0.3
ROUNDING = 1e-9
OWN_SPLITS = ("train", "val", "test")
IN_BOTH = "test image that is also in the training set"


@dataclass(frozen=True)
class Split(Generic[AnyRecord]):
    """Three sets of records, and the number of records that the protocol left out."""

    train: list[AnyRecord]
    val: list[AnyRecord]
    test: list[AnyRecord]
    lost: int


def split_records(
    records: Sequence[AnyRecord],
    train: float,
    test: float,
    seed: int,
    protocol: SplitProtocol,
    together: Mapping[str, str] | None = None,
) -> Split[AnyRecord]:
    """Divide records; `train` and `test` are shares of each source, the rest is for validation.

    `together` maps an image to the image whose set it must share; only the grouped protocol uses it. The protocol `own`
    ignores shares and seed. Raises ConfigError when a share is outside 0 to 1 or both sum to more than 1.
    """
    if not (0 <= train <= 1 and 0 <= test <= 1 and train + test <= 1 + ROUNDING):
        raise ConfigError(f"train {train} and test {test} must be between 0 and 1 and sum to at most 1: change them.")
    if protocol == "own":
        chosen = _split_own(records)
    elif protocol == "reference":
        chosen = _split_reference(records, train, test, seed)
    else:
        chosen = _split_grouped(_by_image(records, together or {}), train, test, seed)
    in_train, in_val, in_test = ([records[index] for index in indices] for indices in chosen)
    return Split(in_train, in_val, in_test, len(records) - len(in_train) - len(in_val) - len(in_test))


def _split_own(records: Sequence[AnyRecord]) -> list[list[int]]:
    chosen: dict[str | None, list[int]] = {name: [] for name in OWN_SPLITS}
    for index, record in enumerate(records):
        chosen.setdefault(own_split(record), []).append(index)
    return [chosen[name] for name in OWN_SPLITS]


def shared_images(train: Sequence[AnyRecord], test: Sequence[AnyRecord]) -> dict[str, int]:
    """The number of test images that are also in the training set, by the reason to be told; empty without any."""
    trained = {image_key(record["image"]) for record in train}
    shared = len({image_key(record["image"]) for record in test} & trained)
    return {IN_BOTH: shared} if shared else {}


def leaves_validation(train: float, test: float, protocol: SplitProtocol) -> bool:
    """Whether train and test leave a share for validation; otherwise there are two sets, not an empty third one."""
    # the reference compares without tolerance
    return train + test < 1 - (0 if protocol == "reference" else ROUNDING)


def reduce_records(records: Sequence[AnyRecord], ratio: float, seed: int, protocol: SplitProtocol) -> list[AnyRecord]:
    """Keep a share of each source's records, in order; the grouped protocol keeps at least one image per source.

    Raises ConfigError unless 0 < ratio <= 1, and when no record is left, which only the reference protocol allows.
    """
    if not 0 < ratio <= 1:
        raise ConfigError(f"ratio {ratio} must be above 0 and at most 1: change it.")
    kept = _reference_share(records, ratio, seed) if protocol == "reference" else _grouped_share(records, ratio, seed)
    if records and not kept:
        raise ConfigError(
            f"A share of {ratio} of {len(records)} records is empty under the reference protocol, which rounds down: "
            "give a larger share, or use the grouped protocol."
        )
    return [records[index] for index in kept]


def _grouped_share(records: Sequence[AnyRecord], ratio: float, seed: int) -> list[int]:
    kept: list[int] = []
    for groups in _by_image(records, {}):
        number = sum(map(len, groups.values()))
        keep = max(1, round(number * ratio))
        kept += divide(groups, (keep, number - keep), f"reduce:{seed}")[0] or smallest(groups, f"reduce:{seed}")
    return sorted(kept)


def _reference_share(records: Sequence[AnyRecord], ratio: float, seed: int) -> list[int]:
    generator = random.Random(seed)  # noqa: S311 - the generator of the reference
    kept: list[int] = []
    for indices in _by_folder(records):
        shuffled = list(range(len(indices)))
        generator.shuffle(shuffled)
        kept += _in_order(indices, shuffled[: int(len(indices) * ratio)])
    return kept


def _by_folder(records: Sequence[AnyRecord]) -> list[list[int]]:
    folders: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        folders.setdefault(source_of(record["image"]), []).append(index)
    return list(folders.values())


def _in_order(indices: Sequence[int], positions: Sequence[int]) -> list[int]:
    return [indices[position] for position in sorted(positions)]


def _split_reference(records: Sequence[AnyRecord], train: float, test: float, seed: int) -> list[list[int]]:
    # One generator for all sources, and int() on each share: so the reference loses records.
    generator = random.Random(seed)  # noqa: S311 - the generator of the reference
    sets: list[list[int]] = [[], [], []]
    for indices in _by_folder(records):
        shuffled = list(range(len(indices)))
        generator.shuffle(shuffled)
        first = int(len(shuffled) * train)
        second = first + int(len(shuffled) * test)
        rest = shuffled[second:] if leaves_validation(train, test, "reference") else []
        for chosen, part in zip(sets, (shuffled[:first], rest, shuffled[first:second]), strict=True):
            chosen += _in_order(indices, part)
    return sets


def _by_image(records: Sequence[AnyRecord], together: Mapping[str, str]) -> list[dict[str, list[int]]]:
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
