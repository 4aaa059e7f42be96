"""Write a dataset version: the sets with their manifests, image and set reports; the folder's manifest last."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tasks.data.checked_images import check_images
from tasks.data.duplicates.near_duplicates import find_pairs, group_leaders
from tasks.data.examples_page import examples_page
from tasks.data.exporting.croissant import write_croissant
from tasks.data.image_checks import BROKEN, ImageState, faults_in, image_report
from tasks.data.record_checks import Checked, filter_records, require_sources
from tasks.data.records_file import RecordsFile, own_split
from tasks.data.set_files import dropped_by_reducing, lost_reason, set_paths
from tasks.data.set_statistics import statistics_of
from tasks.data.several_images import trainable
from tasks.data.splitting import Split, leaves_validation, reduce_records, shared_images, split_records
from tasks.errors import DataError
from tasks.files import digest_of, write_json, write_json_lines, write_text
from tasks.manifests import atomic_folder, write_manifest
from tasks.paths import CROISSANT, FILTERED_TEST_SET
from tasks.record_reader import Record, images_of
from tasks.records import Manifest
from tasks.settings import DataConfig
from tasks.sources import SOURCES
from tasks.turn_tasks import count_by_source

FILTERED_TEST = "filtered_test"
NEAR_DUPLICATE = "image is a near-duplicate of another"
LISTED_FAULTS = 50


@dataclass(frozen=True)
class SelectedRecords:
    """The records to be split, before their images are read, and all that the sets depend on.

    `texts` are records of text alone, which join the training set, and `several` those with several images, which join
    it unless one of them is asked about.
    """

    checked: Checked
    inputs: Mapping[str, str]
    parameters: Mapping[str, Any]
    images_sha256: str
    texts: Sequence[Record] = ()
    several: Sequence[Record] = ()

    @property
    def fingerprint(self) -> str:
        """One digest of the inputs, the state of the images and the parameters."""
        return digest_of({"inputs": self.inputs, "images": self.images_sha256, "parameters": self.parameters})

    @property
    def unnamed(self) -> str:
        """The source of images whose paths have no folder."""
        return str(self.parameters["unnamed_source"])

    @property
    def validates(self) -> bool:
        """Whether the shares leave records for validation; under the protocol `own` the records decide."""
        train, test, protocol = (self.parameters[name] for name in ("train", "test", "protocol"))
        if protocol == "own":
            return any(own_split(record) == "val" for record in self.checked.records)
        return leaves_validation(train, test, protocol)


def write_version(selected: SelectedRecords, images: Path, config: DataConfig, out: Path) -> Manifest:
    """Check every image, split the records and write the folder `out`.

    Raises DataError for broken images unless the configuration drops them, when a chosen source has no record left, and
    when the training or test set would be empty.
    """
    records = selected.checked.records
    grouped = config.near_duplicates == "together" and config.protocol == "grouped"
    states = _image_states(selected, images, config, grouped)
    usable = filter_records(records, config.sources, faults_in(states), config.unnamed_source)
    dropped = Counter(selected.checked.dropped) + Counter(usable.dropped)
    require_sources(usable.records, config.sources, dropped, config.unnamed_source)
    leaders = group_leaders(list(states), find_pairs(states)) if grouped else {}
    split = _split(usable.records, config, leaders)
    if split.lost:
        dropped[lost_reason(config.protocol)] = split.lost
    several = trainable(selected.several, [*split.val, *split.test], leaders, faults_in(states))
    dropped += Counter(several.dropped)
    joining = [*selected.texts, *several.records]
    reduced = reduce_records(split.test, config.test_ratio, config.seed, config.protocol)
    sets = {"train": [*split.train, *joining], "val": split.val, "test": split.test, FILTERED_TEST: reduced}
    with atomic_folder(out) as part:
        _write_sets(part, sets, dropped, selected)
        files = {name: path for name, path in set_paths(part).items() if path.exists()}
        mixed = ("train",) if joining else ()
        write_croissant(part / CROISSANT, files, config.sources, selected.fingerprint, mixed)
        _write_subsets(part, reduced, config.subset_size, selected)
        report = image_report(images, records, states, _own_folders(config))
        write_json(part / "verification.json", report)
        _write_findings(part, images, states, selected, sets)
        details = {
            "records": {name: len(records) for name, records in sets.items()},
            "dropped": dict(dropped),
            "repaired": selected.checked.repaired,
            "noticed": _noticed(selected, split, config, leaders),
            "tasks": count_by_source([*usable.records, *joining], config.unnamed_source),
        }
        return write_manifest(part, selected.fingerprint, details)


def _image_states(
    selected: SelectedRecords, images: Path, config: DataConfig, with_hash: bool
) -> Mapping[str, ImageState]:
    records = [*selected.checked.records, *selected.several]
    states = check_images(images, dict.fromkeys(image for one in records for image in images_of(one)), with_hash)
    if config.broken_images == "refuse":
        _require_readable(images, states)
    return states


def _noticed(
    selected: SelectedRecords, split: Split[Record], config: DataConfig, leaders: Mapping[str, str]
) -> dict[str, int]:
    duplicates = sum(name != leader for name, leader in leaders.items())
    noticed = {**selected.checked.noticed, **({NEAR_DUPLICATE: duplicates} if duplicates else {})}
    return noticed | (shared_images(split.train, split.test) if config.protocol == "own" else {})


def _split(records: Sequence[Record], config: DataConfig, leaders: Mapping[str, str]) -> Split:
    split = split_records(records, config.train, config.test, config.seed, config.protocol, leaders)
    if not split.train or not split.test:
        raise DataError(
            f"{len(records)} records leave {len(split.train)} for training and {len(split.test)} for the "
            "test: change data.train and data.test, or add records."
        )
    return split


def _write_sets(
    folder: Path, sets: Mapping[str, list[Record]], dropped: Mapping[str, int], selected: SelectedRecords
) -> None:
    paths = {**set_paths(folder), FILTERED_TEST: folder / FILTERED_TEST_SET}
    for name, records in sets.items():
        if name == "val" and not selected.validates:
            continue
        lost = dropped_by_reducing(sets["test"], records, selected.unnamed) if name == FILTERED_TEST else {}
        file = RecordsFile(
            paths[name], selected.inputs, selected.parameters, selected.checked.repaired, selected.unnamed
        )
        file.write(records, {**dropped, **lost})


def _write_subsets(folder: Path, test: Sequence[Record], size: int, selected: SelectedRecords) -> None:
    for number, start in enumerate(range(0, len(test), size), start=1):
        path = folder / "filter" / f"filter_{number:03d}.json"
        file = RecordsFile(path, selected.inputs, selected.parameters, unnamed=selected.unnamed)
        file.write(test[start : start + size], {})


def _write_findings(
    folder: Path,
    images: Path,
    states: Mapping[str, ImageState],
    selected: SelectedRecords,
    sets: Mapping[str, Sequence[Record]],
) -> None:
    write_json(folder / "statistics.json", statistics_of(sets, selected.unnamed))
    write_json_lines(folder / "images.jsonl", (_image_row(name, state) for name, state in states.items()))
    write_text(folder / "samples.html", examples_page(sets["train"], images, selected.unnamed))


def _own_folders(config: DataConfig) -> list[str]:
    """The folders of the chosen sources in the data folder; those elsewhere may hold anything."""
    known = {**SOURCES, **{one.name: one.source for one in config.custom_sources}}
    return [known[name].folder for name in config.sources if name in known and name not in config.image_root]


def _image_row(name: str, state: ImageState) -> dict[str, object]:
    row = asdict(replace(state, hash_pixels=None))
    del row["hash_pixels"]
    return {"image": name, **row}


def _require_readable(images: Path, states: Mapping[str, ImageState]) -> None:
    broken = [(name, state.fault) for name, state in states.items() if state.fault in BROKEN]
    for name, fault in broken[:LISTED_FAULTS]:
        print(f"  {images / name}: {fault}")
    if broken:
        raise DataError(
            f"{len(broken)} image(s) cannot be read, first {images / broken[0][0]}: fetch them again, or drop their "
            "records with data.broken_images=drop."
        )
