"""From a raw instruction file and its images to the sets that are trained on and tested with."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.data.filtering import Filtered, filter_records, require_sources
from tasks.data.image_files import UNREADABLE, image_faults, images_digest
from tasks.data.records_file import Record, RecordsFile, read_records
from tasks.data.set_files import LEFT_OVER, REDUCED, inputs_of, set_paths
from tasks.data.splitting import reduce_records, split_records
from tasks.errors import DataError
from tasks.files import digest_of
from tasks.paths import DataFolder
from tasks.records import DatasetRef, FolderRef, Manifest
from tasks.settings import DataConfig
from tasks.storage.manifests import content_digest, made_beside, read_manifest, whole_manifest, write_manifest

FILTERED_TEST = "filtered_test"


@dataclass(frozen=True)
class Chosen:
    """What is prepared: the records whose images are to be looked at, and what the result depends on."""

    filtered: Filtered
    inputs: Mapping[str, str]
    parameters: Mapping[str, Any]
    images_sha256: str

    @property
    def fingerprint(self) -> str:
        """One digest of all that the sets depend on."""
        return digest_of({"inputs": self.inputs, "images": self.images_sha256, "parameters": self.parameters})


def find_raw(root: Path) -> Path:
    """The instruction file of a data folder.

    Raises DataError when the folder, the file or imagenes/ is missing.
    """
    folder = DataFolder(root)
    if not root.is_dir():
        raise DataError(f"{root} is no folder: set data.root to a folder with instructions_raw.json and imagenes/.")
    if not folder.images.is_dir():
        raise DataError(f"{root} has no folder imagenes: put the images there, as imagenes/<image path of a record>.")
    for file in (folder.raw, folder.dataset):
        if file.is_file():
            return file
    raise DataError(f"{root} has neither {folder.raw.name} nor {folder.dataset.name}: put the instruction file there.")


class RawData(FolderRef):
    """A data folder as it is now: its digest covers the instruction file and the state of the images used."""

    raw: Path
    images: Path

    @property
    def content(self) -> str:
        """The prepared sets name the images folder, so that the same data elsewhere is other data."""
        return f"{self.sha256}-{self.images}"


def raw_data(root: Path, config: DataConfig) -> RawData:
    """Look at a data folder; raises DataError when a part is missing or a record is wrong."""
    raw, images = find_raw(root), DataFolder(root).images
    return RawData(path=root, sha256=choose_records(raw, images, config).fingerprint, raw=raw, images=images)


def choose_sets_folder(data: RawData, fallback: Path) -> Path:
    """ROOT/sets where it is free or holds just these sets; `fallback` where it holds others or cannot be written."""
    sets = DataFolder(data.path).sets
    if not sets.exists():
        return sets if os.access(data.path, os.W_OK) else fallback
    manifest = read_manifest(sets)
    return sets if manifest is not None and manifest.fingerprint == data.sha256 else fallback


def prepare_dataset(raw: Path, images: Path, config: DataConfig, out: Path) -> DatasetRef:
    """Filter, split and reduce the records of `raw` into the folder `out`, its manifest last.

    Records whose image is missing are dropped and counted, and so are those whose image cannot be read where
    `config.broken_images` says so. Nothing is done when the same was prepared before and is whole. Raises DataError
    for bad records and broken images, when a source that was asked for has no record left, and when `out` holds
    something else.
    """
    chosen = choose_records(raw, images, config)
    manifest = whole_manifest(out, chosen.fingerprint)
    if manifest is None:
        _require_free(out, chosen.fingerprint)
        manifest = _make_sets(chosen, images, config, out)
    _report(manifest, out)
    return DatasetRef(
        path=out,
        sha256=content_digest(manifest),
        images=images,
        images_sha256=chosen.images_sha256,
        records=manifest.details["records"],
    )


def choose_records(raw: Path, images: Path, config: DataConfig) -> Chosen:
    """The records of the asked sources, before any image is opened."""
    if not images.is_dir():
        raise DataError(f"{images} is no folder: give the folder that the records' image paths begin in.")
    inputs = inputs_of(raw)
    filtered = filter_records(read_records(raw), config.sources)
    names = {record["image"] for record in filtered.records}
    names_used = ("sources", "train", "test", "seed", "protocol", "test_ratio", "subset_size", "broken_images")
    parameters = config.model_dump(mode="json", include=set(names_used))
    return Chosen(filtered, inputs, parameters, images_digest(images, names))


def _make_sets(chosen: Chosen, images: Path, config: DataConfig, out: Path) -> Manifest:
    candidates = chosen.filtered.records
    names = dict.fromkeys(record["image"] for record in candidates)
    faults = image_faults(images, names)
    if config.broken_images == "refuse":
        _require_readable(images, faults)
    usable = filter_records(candidates, config.sources, faults)
    dropped = {**chosen.filtered.dropped, **usable.dropped}
    require_sources(usable.records, config.sources, dropped)
    split = split_records(usable.records, config.train, config.test, config.seed, config.protocol)
    if not split.train or not split.test:
        raise DataError(
            f"{len(usable.records)} records leave {len(split.train)} for training and {len(split.test)} for the "
            "test: change data.train and data.test, or add records."
        )
    if split.lost:
        dropped[LEFT_OVER] = split.lost
    reduced = reduce_records(split.test, config.test_ratio, config.seed, config.protocol)
    sets = {"train": split.train, "val": split.val, "test": split.test, FILTERED_TEST: reduced}
    with made_beside(out) as part:
        _write_sets(part, sets, dropped, chosen)
        _write_subsets(part, reduced, config.subset_size, chosen)
        details = {"records": {name: len(records) for name, records in sets.items()}, "dropped": dropped}
        return write_manifest(part, chosen.fingerprint, details)


def _write_sets(folder: Path, sets: Mapping[str, list[Record]], dropped: Mapping[str, int], chosen: Chosen) -> None:
    paths = {**set_paths(folder), FILTERED_TEST: folder / f"{FILTERED_TEST}.json"}
    for name, records in sets.items():
        reduced = len(sets["test"]) - len(records) if name == FILTERED_TEST else 0
        lost = {**dropped, REDUCED: reduced} if reduced else dropped
        RecordsFile(paths[name], chosen.inputs, chosen.parameters).write(records, lost)


def _write_subsets(folder: Path, test: Sequence[Record], size: int, chosen: Chosen) -> None:
    for number, start in enumerate(range(0, len(test), size), start=1):
        path = folder / "filter" / f"filter_{number:03d}.json"
        RecordsFile(path, chosen.inputs, chosen.parameters).write(test[start : start + size], {})


def _require_readable(images: Path, faults: Mapping[str, str]) -> None:
    broken = [name for name, reason in faults.items() if reason == UNREADABLE]
    if broken:
        raise DataError(
            f"{len(broken)} image(s) cannot be read, first {images / broken[0]}: fetch them again, or go on without "
            "their records with data.broken_images=drop."
        )


def _require_free(out: Path, fingerprint: str) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    manifest = read_manifest(out) if out.is_dir() else None
    if manifest is None or manifest.fingerprint != fingerprint:
        raise DataError(f"{out} holds other sets than those to be prepared: give another folder, or move it away.")


def _report(manifest: Manifest, out: Path) -> None:
    numbers = ", ".join(f"{name} {number}" for name, number in manifest.details["records"].items())
    print(f"sets in {out}: {numbers}")
    for reason, number in manifest.details["dropped"].items():
        print(f"  dropped {number}: {reason}")
