"""Records with several images: they are trained where the settings allow them, and are never asked in the test."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

from tasks.data.record_checks import ALL, SOURCE_PREFIX, Filtered, answer_fault
from tasks.image_paths import image_key
from tasks.record_reader import SEVERAL_IMAGES, Record, first_image, image_fault, images_of, paths_fault
from tasks.settings import DataConfig
from tasks.sources import source_of

TOO_MANY = f"{SEVERAL_IMAGES}: raise data.max_images for a model that takes them"
HELD_OUT = f"{SEVERAL_IMAGES}, one of them in the validation or test set"


def choose_several(records: Sequence[Record], config: DataConfig) -> tuple[Filtered, list[Record]]:
    """Keep the usable records with 2 to `max_images` images; returns them, and all records with fewer."""
    kept: list[Record] = []
    others: list[Record] = []
    dropped: Counter[str] = Counter()
    for record in records:
        if (fault := image_fault(record)) is None or fault.reason != SEVERAL_IMAGES:
            others.append(record)
        elif reason := _reason_to_drop(record, config):
            dropped[reason] += 1
        else:
            plain = {name: value for name, value in record.items() if name != "images"}
            kept.append(cast(Record, {**plain, "image": list(images_of(record))}))
    return Filtered(kept, dict(dropped)), others


def _reason_to_drop(record: Record, config: DataConfig) -> str | None:
    if fault := paths_fault(record):
        return fault.reason
    if len(images_of(record)) > config.max_images:
        return TOO_MANY
    source = source_of(first_image(record), config.unnamed_source)
    if source not in config.sources and tuple(config.sources) != ALL:
        return f"{SOURCE_PREFIX} {source} not selected"
    return answer_fault(record)


def trainable(
    several: Sequence[Record],
    held_out: Sequence[Record],
    leaders: Mapping[str, str],
    faults: Mapping[str, str],
) -> Filtered:
    """Keep records whose images can all be read and are not in `held_out`, nor near-duplicates of images there.

    `leaders` maps an image to the first of its near-duplicates, `faults` one that cannot be used to the reason.
    """
    asked = {_leader(record["image"], leaders) for record in held_out}
    kept: list[Record] = []
    dropped: Counter[str] = Counter()
    for record in several:
        images = images_of(record)
        if reason := next((faults[image] for image in images if image in faults), None):
            dropped[reason] += 1
        elif any(_leader(image, leaders) in asked for image in images):
            dropped[HELD_OUT] += 1
        else:
            kept.append(record)
    return Filtered(kept, dict(dropped))


def _leader(image: str, leaders: Mapping[str, str]) -> str:
    return image_key(leaders.get(image, image))
