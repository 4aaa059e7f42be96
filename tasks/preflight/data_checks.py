"""The data before a run: the folder, images of a sample of records, and the tokens of its samples."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from tasks.data.image_checks import check_images, faults_in
from tasks.data.preparing import choose_records, find_raw
from tasks.data.record_checks import SOURCE_PREFIX
from tasks.data.splitting import split_records
from tasks.data.synthetic.dataset import SHARES
from tasks.errors import UserError
from tasks.image_paths import image_file
from tasks.model.llava.prompt import IGNORE_INDEX
from tasks.model.loading import Processor
from tasks.paths import DataFolder
from tasks.preflight.findings import Finding, ok, stops, warning
from tasks.settings import DataConfig, TrainingConfig
from tasks.sources import source_of
from tasks.training.samples import CUT, TOO_LONG, Sample, make_samples
from tasks.turn_tasks import count_by_source, describe_tasks

LOOKED_AT = 64
# Of the sample's records; fewer that are cut or left out are usual and are counted by the training itself.
MANY = 0.05


@dataclass(frozen=True)
class RecordSample:
    """Some records of those that a run would use, drawn with the data's seed, how many there are in all, and all that
    are to validate with."""

    records: Sequence[dict[str, Any]]
    images: Path
    total: int
    validation: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True)
class Lengths:
    """Tokens of a sample of samples: the mean, and those from the first answer on, which get logits."""

    mean: int
    answers: int


def look_at_records(config: DataConfig) -> tuple[Finding, RecordSample | None]:
    """Whether the data folder holds records that can be used, and a sample of them; None where there is none yet."""
    if config.root is None:
        return _of_drawn_sample(config), None
    if config.fetch and not DataFolder(config.root).images.is_dir():
        return warning("data", f"{config.root} is fetched first: its images and tokens are not looked at yet"), None
    try:
        raw = find_raw(config.root)
        images = DataFolder(config.root).images
        checked = choose_records(raw, images, config).checked
    except UserError as error:
        return stops("data", str(error)), None
    records = [dict(record) for record in checked.records]
    if fault := _fault_of_records(raw, images, records, config):
        return stops("data", fault + _other_sources(checked.dropped)), None
    chosen = random.Random(config.seed).sample(records, min(LOOKED_AT, len(records)))  # noqa: S311 - no secret
    validation = split_records(records, config.train, config.test, config.seed, config.protocol).val
    asked = "; ".join(describe_tasks(count_by_source(records, config.unnamed_source)))
    found = RecordSample(chosen, images, len(records), validation)
    return ok("data", f"{len(records)} records of {raw} ({asked})"), found


def _other_sources(dropped: Mapping[str, int]) -> str:
    """Which sources the file holds besides, by the names that data.sources takes."""
    others = [f"{reason}: {number}" for reason, number in dropped.items() if reason.startswith(SOURCE_PREFIX)]
    return f" ({'; '.join(others)})" if others else ""


def _of_drawn_sample(config: DataConfig) -> Finding:
    if lacking := [name for name in config.sources if name not in dict(SHARES)]:
        return stops("data", f"the sample that is drawn has no scenes of {', '.join(lacking)}: set data.root, or other "
                     "data.sources")  # fmt: skip
    return ok("data", f"{config.sample.scenes} sample scenes are drawn in the workspace")


def _fault_of_records(raw: Path, images: Path, records: Sequence[dict[str, Any]], config: DataConfig) -> str | None:
    """Why the sets cannot be made of these records, or None: every source has its part, and no set may be empty."""
    by_source: dict[str, list[str]] = {name: [] for name in config.sources}
    for record in records:
        by_source[source_of(record["image"], config.unnamed_source)].append(record["image"])
    if lacking := [name for name, names in by_source.items() if not names]:
        return f"{raw} holds no record of {', '.join(lacking)}: set data.sources to those that you have"
    bare = [
        name for name, names in by_source.items() if not any(image_file(images, image).is_file() for image in names)
    ]
    # where no source has any, the check of the images tells which
    if 0 < len(bare) < len(by_source) and not config.fetch:
        return f"{images} holds no image of {', '.join(bare)}: put them there, or set data.sources to those you have"
    split = split_records(records, config.train, config.test, config.seed, config.protocol)
    if not split.train or not split.test:
        return (
            f"{len(records)} records leave {len(split.train)} for training and {len(split.test)} for the test: "
            "change data.train and data.test, or add records"
        )
    return None


def image_findings(sample: RecordSample, config: DataConfig) -> list[Finding]:
    """Images of the sample, each decoded whole."""
    names = sorted({record["image"] for record in sample.records})
    missing = [name for name in names if not image_file(sample.images, name).is_file()]
    faults = faults_in(check_images(sample.images, [name for name in names if name not in missing], workers=1))
    found = []
    if len(missing) == len(names):
        found.append(stops("images", f"none of {len(names)} images is below {sample.images}, first {missing[0]}: put "
                           "them there, or set data.fetch=true"))  # fmt: skip
    elif missing:
        found.append(warning("images", f"{len(missing)} of {len(names)} images are missing, first "
                             f"{sample.images / missing[0]}: their records are left out, and counted"))  # fmt: skip
    if faults:
        first = next(iter(faults))
        text = f"{len(faults)} image(s) cannot be read, first {sample.images / first}, of {len(names)} looked at"
        way = "fetch them again, or set data.broken_images=drop"
        drops = config.broken_images == "drop"
        found.append(
            warning("images", f"{text}: their records are left out") if drops else stops("images", f"{text}: {way}")
        )
    return found or [ok("images", f"{len(names)} of a drawn sample of records decoded")]


def validation_findings(sample: RecordSample, training: TrainingConfig) -> list[Finding]:
    """Whether there is something to validate with where that is asked for."""
    # only here: torch comes with them
    from tasks.training.validation import require_validation
    from tasks.training.validation_answers import choose_questions, require_scored

    try:
        require_validation(sample.validation, training)
        if training.eval_answers:
            asked = choose_questions(sample.validation, training.eval_answers, training.seed)
            require_scored(asked, training.metric_for_best_model)
    except UserError as error:
        return [stops("validation", str(error))]
    return []


def token_findings(
    sample: RecordSample, processor: Processor, training: TrainingConfig
) -> tuple[list[Finding], Lengths | None]:
    """The sample's lengths against model_max_length: how many records are parted, cut or left out."""
    limit, split = training.model_max_length, training.split_long_conversations
    whole, _ = make_samples(sample.records, processor, 10**9, split)
    samples, dropped = make_samples(sample.records, processor, limit, split)
    if not samples:
        least = processor.image_tokens + 40
        return [stops("tokens", f"no record of the sample fits into model_max_length={limit}, of which the image alone "
                      f"takes {processor.image_tokens}: set it above {least}")], None  # fmt: skip
    over = sum(one.length > limit for one in whole)
    lost = dropped[TOO_LONG] + dropped[CUT]
    lengths = Lengths(round(mean(one.length for one in samples)), round(mean(map(_answer_places, samples))))
    text = (
        f"{lengths.mean} a sample on average, {max(one.length for one in whole)} at most, model_max_length is {limit}"
    )
    if lost > MANY * len(whole):
        return [warning("tokens", f"{text}: {lost} of {len(whole)} records lose answers; raise it, or set "
                        "split_long_conversations=true")], lengths  # fmt: skip
    return [ok("tokens", f"{text}: {over} of {len(whole)} records are parted" if over else text)], lengths


def _answer_places(sample: Sample) -> int:
    """Places of a sample from its first answer on."""
    labels = sample.encoded.labels
    return len(labels) - next((place for place, label in enumerate(labels) if label != IGNORE_INDEX), 0)
