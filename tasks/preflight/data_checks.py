"""Check the data of a run: the data folder, and the images and token counts of a random sample of records."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from tasks.data.checked_images import check_files
from tasks.data.image_checks import faults_in
from tasks.data.image_folders import located_image, require_folders
from tasks.data.preparing import choose_records, find_raw
from tasks.data.record_checks import SOURCE_PREFIX, outside_advice
from tasks.data.splitting import split_records
from tasks.data.synthetic.dataset import SHARES
from tasks.errors import UserError
from tasks.image_paths import image_file
from tasks.model.encoding import IGNORE_INDEX
from tasks.model.family import ModelFamily
from tasks.model.image_size import image_size
from tasks.model.processor import Processor
from tasks.paths import DataFolder
from tasks.preflight.findings import Finding, fatal, ok, warning
from tasks.record_reader import ABSOLUTE, Record, images_of
from tasks.settings import DataConfig, TrainingConfig
from tasks.sources import source_of
from tasks.training.samples import CUT, TOO_LONG, LengthLimit, Sample, make_samples
from tasks.turn_tasks import count_by_source, describe_tasks

SAMPLE_SIZE = 64
# Share of the sample; fewer records that lose answers are normal, and the training itself counts them.
MANY = 0.05


@dataclass(frozen=True)
class RecordSample:
    """A random sample of a run's records, drawn with the data's seed, their total number, and the validation set.

    `several` are those records with several images that the settings allow.
    """

    records: Sequence[Record]
    images: Path
    total: int
    validation: Sequence[Record] = ()
    several: Sequence[Record] = ()


@dataclass(frozen=True)
class Lengths:
    """Mean number of tokens per sample: all, and those from the first answer on, which get logits."""

    mean: int
    answers: int


def check_data(config: DataConfig) -> tuple[Finding, RecordSample | None]:
    """Check that the data folder holds usable records, and sample them; no sample if the data does not exist yet."""
    if config.root is None:
        return _synthetic_finding(config), None
    images = DataFolder(config.root).images
    try:
        require_folders(config.image_root)
        if config.fetch and not images.is_dir():
            return warning("data", f"{config.root} is fetched first: its images and tokens are not checked yet"), None
        raw = find_raw(config.root, needs_images=not config.image_root)
        selected = choose_records(raw, images, config)
    except UserError as error:
        return fatal("data", str(error)), None
    checked, records = selected.checked, selected.checked.records
    if fault := _sets_fault(raw, images, records, config):
        return fatal("data", fault + _other_sources(checked.dropped)), None
    chosen = random.Random(config.seed).sample(records, min(SAMPLE_SIZE, len(records)))  # noqa: S311 - no secret
    validation = split_records(records, config.train, config.test, config.seed, config.protocol).val
    tasks = "; ".join(describe_tasks(count_by_source(records, config.unnamed_source)))
    sample = RecordSample(chosen, images, len(records), validation, selected.several)
    others = {"of text alone": selected.texts, "with several images": selected.several}
    besides = "".join(f", and {len(some)} {what} for training" for what, some in others.items() if some)
    return ok("data", f"{len(records)} records of {raw} ({tasks}){besides}"), sample


def _other_sources(dropped: Mapping[str, int]) -> str:
    """The other sources of the file, by the names that data.sources accepts, and absolute paths, or nothing."""
    others = [
        f"{reason}: {number}"
        for reason, number in dropped.items()
        if reason.startswith(SOURCE_PREFIX) or reason == ABSOLUTE
    ]
    return f" ({'; '.join(others)}){outside_advice(dropped)}" if others else ""


def _synthetic_finding(config: DataConfig) -> Finding:
    if lacking := [name for name in config.sources if name not in dict(SHARES)]:
        return fatal("data", f"the synthetic sample data has no scenes of {', '.join(lacking)}: set data.root, or "
                     "other data.sources")  # fmt: skip
    return ok("data", f"{config.sample.scenes} synthetic scenes will be created in the workspace")


def _sets_fault(raw: Path, images: Path, records: Sequence[Record], config: DataConfig) -> str | None:
    """Why the sets cannot be made from these records, or None: every source needs records, and no set may be empty."""
    by_source: dict[str, list[str]] = {name: [] for name in config.sources}
    for record in records:
        by_source[source_of(record["image"], config.unnamed_source)].append(record["image"])
    if lacking := [name for name, names in by_source.items() if not names]:
        return f"{raw} holds no record of {', '.join(lacking)}: set data.sources to those that you have"
    without_images = [
        name
        for name, names in by_source.items()
        if not any(located_image(images, config.image_root, image).is_file() for image in names)
    ]
    # if no source has images, image_findings reports it
    if 0 < len(without_images) < len(by_source) and not config.fetch:
        where = [str(config.image_root.get(name, images)) for name in without_images]
        return f"{', '.join(where)} holds no image of {', '.join(without_images)}: put them there, or set data.sources"
    split = split_records(records, config.train, config.test, config.seed, config.protocol)
    if not split.train or not split.test:
        return (
            f"{len(records)} records leave {len(split.train)} for training and {len(split.test)} for the test: "
            "change data.train and data.test, or add records"
        )
    return None


def image_findings(sample: RecordSample, config: DataConfig) -> list[Finding]:
    """Check that the sample's images exist and can be decoded completely."""
    names = sorted({record["image"] for record in sample.records})
    files = {name: located_image(sample.images, config.image_root, name) for name in names}
    missing = [name for name, file in files.items() if not file.is_file()]
    faults = faults_in(check_files({name: files[name] for name in names if name not in missing}, workers=1))
    found = []
    if len(missing) == len(names):
        found.append(fatal("images", f"none of {len(names)} images is in {sample.images}, first {missing[0]}: put "
                           "them there, or set data.fetch=true"))  # fmt: skip
    elif missing:
        found.append(warning("images", f"{len(missing)} of {len(names)} images are missing, first "
                             f"{files[missing[0]]}: their records are dropped and counted"))  # fmt: skip
    if faults:
        first = next(iter(faults))
        text = f"{len(faults)} image(s) cannot be read, first {files[first]}, of {len(names)} checked"
        remedy = "fetch them again, or set data.broken_images=drop"
        drops = config.broken_images == "drop"
        found.append(
            warning("images", f"{text}: their records are dropped") if drops else fatal("images", f"{text}: {remedy}")
        )
    return found or [ok("images", f"{len(names)} images of a random sample of records decoded")]


def validation_findings(sample: RecordSample, training: TrainingConfig) -> list[Finding]:
    """Check that there are samples and questions for validation, if it is enabled."""
    # only here: they import torch
    from tasks.training.validation import require_validation
    from tasks.training.validation_answers import choose_questions, require_scored

    try:
        require_validation(sample.validation, training)
        if training.eval_answers:
            questions = choose_questions(sample.validation, training.eval_answers, training.seed)
            require_scored(questions, training.metric_for_best_model)
    except UserError as error:
        return [fatal("validation", str(error))]
    return []


def several_images_findings(
    config: DataConfig, sample: RecordSample | None, family: ModelFamily | None
) -> list[Finding]:
    """Check that the base takes records with several images, if the settings allow them."""
    if config.max_images == 1 or family is None or family.several_images:
        return []
    records = f"{len(sample.several)} records with several" if sample else "records with several"
    return [warning("several images", f"data.max_images is {config.max_images}, and {family.name} takes one image: "
                    f"its training drops {records}; set data.max_images=1, or choose another model.base")]  # fmt: skip


def token_findings(
    sample: RecordSample, processor: Processor, training: TrainingConfig
) -> tuple[list[Finding], Lengths | None]:
    """Compare the sample's lengths with model_max_length: how many records are split, truncated or dropped."""
    limit, split = training.model_max_length, training.split_long_conversations
    records = _with_images([*sample.records, *sample.several[:SAMPLE_SIZE]], sample.images)
    if not records:
        return [ok("tokens", "not checked: no image can be read")], None
    try:
        whole, _ = make_samples(records, processor, sample.images, LengthLimit(10**9, split))
        samples, dropped = make_samples(records, processor, sample.images, LengthLimit(limit, split))
    except UserError as error:
        return [fatal("tokens", str(error))], None
    if not samples:
        alone, shortest = processor.image_tokens, min((one.length for one in whole), default=0)
        what = f"the image alone takes {alone}" if alone else f"the shortest takes {shortest}"
        return [fatal("tokens", f"no record of the sample fits into model_max_length={limit}, and {what}: set it above "
                      f"{alone + 40 if alone else shortest}")], None  # fmt: skip
    over = sum(one.length > limit for one in whole)
    lost = dropped[TOO_LONG] + dropped[CUT]
    lengths = Lengths(round(mean(one.length for one in samples)), round(mean(map(_answer_length, samples))))
    text = (
        f"{lengths.mean} per sample on average, {max(one.length for one in whole)} at most, model_max_length is {limit}"
    )
    if lost > MANY * len(whole):
        return [warning("tokens", f"{text}: {lost} of {len(whole)} records lose answers; raise it, or set "
                        "split_long_conversations=true")], lengths  # fmt: skip
    return [ok("tokens", f"{text}: {over} of {len(whole)} records are split" if over else text)], lengths


def _with_images(records: Sequence[Record], images: Path) -> list[Record]:
    """The records whose images can be opened; image_findings reports the others."""

    def is_readable(image: str) -> bool:
        try:
            image_size(image_file(images, image))
        except UserError:
            return False
        return True

    return [record for record in records if all(map(is_readable, images_of(record)))]


def _answer_length(sample: Sample) -> int:
    """Number of tokens of a sample from its first answer on."""
    labels = sample.encoded.labels
    return len(labels) - next((index for index, label in enumerate(labels) if label != IGNORE_INDEX), 0)
