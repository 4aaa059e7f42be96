"""From a raw instruction file and its images to the sets that are trained on and tested with."""

import os
import stat
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tasks.data.dataset_version import Chosen, write_version
from tasks.data.filtering import filter_records
from tasks.data.image_files import images_digest
from tasks.data.record_checks import check_records
from tasks.data.records_file import read_records
from tasks.data.set_files import inputs_of
from tasks.errors import DataError, OccupiedError
from tasks.manifests import content_digest, read_manifest, verified_manifest
from tasks.paths import DataFolder
from tasks.records import DatasetRef, ImagesRef, Manifest
from tasks.settings import DataConfig
from tasks.sources import require_known
from tasks.turn_tasks import describe_tasks

ANY_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def find_raw(root: Path) -> Path:
    """The instruction file of a data folder; as JSON Lines its name may also end with .jsonl.

    Raises DataError when the folder, the file or imagenes/ is missing.
    """
    folder = DataFolder(root)
    if not root.is_dir():
        raise DataError(f"{root} is no folder: set data.root to a folder with instructions_raw.json and imagenes/.")
    if not folder.images.is_dir():
        raise DataError(f"{root} has no folder imagenes: put the images there, as imagenes/<image path of a record>.")
    for file in (folder.raw, folder.dataset, *(path.with_suffix(".jsonl") for path in (folder.raw, folder.dataset))):
        if file.is_file():
            return file
    raise DataError(f"{root} has neither {folder.raw.name} nor {folder.dataset.name}: put the instruction file there.")


class RawData(ImagesRef):
    """A data folder as it is now: its digest covers the instruction file and the state of the images used."""

    raw: Path


def raw_data(root: Path, config: DataConfig) -> RawData:
    """Look at a data folder; raises DataError when a part is missing or a record is wrong."""
    raw, images = find_raw(root), DataFolder(root).images
    return RawData(path=root, sha256=choose_records(raw, images, config).fingerprint, raw=raw, images=images)


def choose_sets_folder(data: RawData, fallback: Path) -> Path:
    """ROOT/sets where it is free or holds just these sets; `fallback` where it holds others or cannot be written."""
    sets = DataFolder(data.path).sets
    if not sets.exists():
        # a folder that nobody may write is meant to stay as it is, even where root could write it
        return sets if os.access(data.path, os.W_OK) and data.path.stat().st_mode & ANY_WRITE else fallback
    manifest = read_manifest(sets)
    return sets if manifest is not None and manifest.fingerprint == data.sha256 else fallback


def prepare_dataset(raw: Path, images: Path, config: DataConfig, out: Path) -> DatasetRef:
    """Filter, split and reduce the records of `raw` into the folder `out`, its manifest last.

    Records whose image is missing are dropped and counted, and so are those whose image cannot be read where
    `config.broken_images` says so. Nothing is done when the same was prepared before and is whole. Raises DataError
    for bad records and broken images and when a source that was asked for has no record left, and OccupiedError when
    `out` holds something else.
    """
    chosen = choose_records(raw, images, config)
    manifest = verified_manifest(out, chosen.fingerprint)
    if manifest is None:
        _require_free(out, chosen.fingerprint)
        manifest = write_version(chosen, images, config, out)
    _report(manifest, out)
    return DatasetRef(
        path=out,
        sha256=content_digest(manifest),
        images=images,
        images_sha256=chosen.images_sha256,
        records=manifest.details["records"],
        unnamed_source=config.unnamed_source,
    )


def choose_records(raw: Path, images: Path, config: DataConfig) -> Chosen:
    """The records of the asked sources, checked, before any image is opened."""
    if not images.is_dir():
        raise DataError(f"{images} is no folder: give the folder that the records' image paths begin in.")
    require_known(config.sources, config.unnamed_source)
    inputs = inputs_of(raw)
    filtered = filter_records(read_records(raw, unfiltered=True), config.sources, unnamed=config.unnamed_source)
    checked = check_records(filtered.records, config.record_faults)
    dropped = dict(Counter(filtered.dropped) + Counter(checked.dropped))
    names = {record["image"] for record in checked.records}
    return Chosen(replace(checked, dropped=dropped), inputs, config.content, images_digest(images, names))


def _require_free(out: Path, fingerprint: str) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    manifest = read_manifest(out) if out.is_dir() else None
    if manifest is None or manifest.fingerprint != fingerprint:
        raise OccupiedError(f"{out} holds other sets than those to be prepared: give another folder, or move it away.")


def _report(manifest: Manifest, out: Path) -> None:
    numbers = ", ".join(f"{name} {number}" for name, number in manifest.details["records"].items())
    print(f"sets in {out}: {numbers}")
    for what in ("dropped", "repaired", "noticed"):
        for reason, number in manifest.details[what].items():
            print(f"  {what} {number}: {reason}")
    for line in describe_tasks(manifest.details["tasks"]):
        print(f"  {line}")
