"""A version of a dataset: the sets, and beside them what was found, dropped and repaired; the manifest last."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tasks.data.duplicates.near_duplicates import find_pairs, groups_of
from tasks.data.examples_page import sample_page
from tasks.data.filtering import filter_records, require_sources
from tasks.data.image_checks import BROKEN, ImageState
from tasks.data.image_files import faults_in, look_at_images
from tasks.data.record_checks import Checked
from tasks.data.records_file import Record, RecordsFile
from tasks.data.set_files import LEFT_OVER, dropped_by_reducing, set_paths
from tasks.data.set_statistics import statistics_of
from tasks.data.splitting import Split, leaves_validation, reduce_records, split_records
from tasks.data.verification import verification_of
from tasks.errors import DataError
from tasks.files import digest_of, write_json, write_json_lines, write_text
from tasks.manifests import atomic_folder, write_manifest
from tasks.records import Manifest
from tasks.settings import DataConfig
from tasks.turn_tasks import count_by_source

FILTERED_TEST = "filtered_test"
SHARED_LOOK = "image shows the same as another"
SHOWN_FAULTS = 50


@dataclass(frozen=True)
class Chosen:
    """What is prepared: the records whose images are to be looked at, and what the result depends on."""

    checked: Checked
    inputs: Mapping[str, str]
    parameters: Mapping[str, Any]
    images_sha256: str

    @property
    def fingerprint(self) -> str:
        """One digest of all that the sets depend on."""
        return digest_of({"inputs": self.inputs, "images": self.images_sha256, "parameters": self.parameters})

    @property
    def unnamed(self) -> str:
        """The source of images whose paths have no folder."""
        return str(self.parameters["unnamed_source"])

    @property
    def validates(self) -> bool:
        """Whether there is a validation set."""
        return leaves_validation(*(self.parameters[name] for name in ("train", "test", "protocol")))


def write_version(chosen: Chosen, images: Path, config: DataConfig, out: Path) -> Manifest:
    """Look at every image, split, and write the folder `out`.

    Raises DataError where images are broken and config says to refuse, when a source that was asked for has no record
    left, or a set would be empty.
    """
    records = chosen.checked.records
    together = config.near_duplicates == "together" and config.protocol == "grouped"
    states = look_at_images(images, dict.fromkeys(record["image"] for record in records), with_look=together)
    if config.broken_images == "refuse":
        _require_readable(images, states)
    usable = filter_records(records, config.sources, faults_in(states), config.unnamed_source)
    dropped = Counter(chosen.checked.dropped) + Counter(usable.dropped)
    require_sources(usable.records, config.sources, dropped, config.unnamed_source)
    leaders = groups_of(list(states), find_pairs(states)) if together else {}
    split = _split(usable.records, config, leaders)
    if split.lost:
        dropped[LEFT_OVER] = split.lost
    same = sum(name != leader for name, leader in leaders.items())
    noticed = {**chosen.checked.noticed, **({SHARED_LOOK: same} if same else {})}
    reduced = reduce_records(split.test, config.test_ratio, config.seed, config.protocol)
    sets = {"train": split.train, "val": split.val, "test": split.test, FILTERED_TEST: reduced}
    with atomic_folder(out) as part:
        _write_sets(part, sets, dropped, chosen)
        _write_subsets(part, reduced, config.subset_size, chosen)
        _write_findings(part, images, states, chosen, sets)
        details = {
            "records": {name: len(records) for name, records in sets.items()},
            "dropped": dict(dropped),
            "repaired": chosen.checked.repaired,
            "noticed": noticed,
            "tasks": count_by_source(usable.records, config.unnamed_source),
        }
        return write_manifest(part, chosen.fingerprint, details)


def _split(records: Sequence[Record], config: DataConfig, leaders: Mapping[str, str]) -> Split:
    split = split_records(records, config.train, config.test, config.seed, config.protocol, leaders)
    if not split.train or not split.test:
        raise DataError(
            f"{len(records)} records leave {len(split.train)} for training and {len(split.test)} for the "
            "test: change data.train and data.test, or add records."
        )
    return split


def _write_sets(folder: Path, sets: Mapping[str, list[Record]], dropped: Mapping[str, int], chosen: Chosen) -> None:
    paths = {**set_paths(folder), FILTERED_TEST: folder / f"{FILTERED_TEST}.json"}
    for name, records in sets.items():
        if name == "val" and not chosen.validates:
            continue
        lost = dropped_by_reducing(sets["test"], records, chosen.unnamed) if name == FILTERED_TEST else {}
        file = RecordsFile(paths[name], chosen.inputs, chosen.parameters, chosen.checked.repaired, chosen.unnamed)
        file.write(records, {**dropped, **lost})


def _write_subsets(folder: Path, test: Sequence[Record], size: int, chosen: Chosen) -> None:
    for number, start in enumerate(range(0, len(test), size), start=1):
        path = folder / "filter" / f"filter_{number:03d}.json"
        file = RecordsFile(path, chosen.inputs, chosen.parameters, unnamed=chosen.unnamed)
        file.write(test[start : start + size], {})


def _write_findings(
    folder: Path,
    images: Path,
    states: Mapping[str, ImageState],
    chosen: Chosen,
    sets: Mapping[str, Sequence[Record]],
) -> None:
    sources = chosen.parameters["sources"]
    write_json(folder / "verification.json", verification_of(images, chosen.checked.records, states, sources))
    write_json(folder / "statistics.json", statistics_of(sets, chosen.unnamed))
    write_json_lines(folder / "images.jsonl", (_image_row(name, state) for name, state in states.items()))
    write_text(folder / "samples.html", sample_page(sets["train"], images, chosen.unnamed))


def _image_row(name: str, state: ImageState) -> dict[str, Any]:
    row = asdict(replace(state, look=None))
    del row["look"]
    return {"image": name, **row}


def _require_readable(images: Path, states: Mapping[str, ImageState]) -> None:
    broken = [(name, state.fault) for name, state in states.items() if state.fault in BROKEN]
    for name, fault in broken[:SHOWN_FAULTS]:
        print(f"  {images / name}: {fault}")
    if broken:
        raise DataError(
            f"{len(broken)} image(s) cannot be read, first {images / broken[0][0]}: fetch them again, or go on without "
            "their records with data.broken_images=drop."
        )
