"""Prepare the training, validation and test sets from a raw instruction file and its images."""

import os
import stat
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tasks.data.custom_sources import SourceFacts
from tasks.data.dataset_version import SelectedRecords, write_version
from tasks.data.image_checks import files_digest
from tasks.data.image_folders import linked_images, located_image, require_folders
from tasks.data.record_checks import Filtered, check_records, choose_texts, filter_records
from tasks.data.set_files import inputs_of
from tasks.data.several_images import choose_several
from tasks.errors import DataError
from tasks.manifests import content_digest, read_manifest, require_free_folder, verified_manifest
from tasks.paths import DataFolder
from tasks.record_reader import images_of, iterate_records, no_fault
from tasks.records import DatasetRef, ImagesRef, Manifest
from tasks.settings import DataConfig
from tasks.sources import require_known
from tasks.turn_tasks import describe_tasks

ANY_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def find_raw(root: Path, needs_images: bool = True) -> Path:
    """The instruction file of a data folder, JSON or JSON Lines.

    Raises DataError when the folder, the file or imagenes/ is missing; the last only if `needs_images`.
    """
    folder = DataFolder(root)
    if not root.is_dir():
        raise DataError(
            f"{root} is not a folder: set data.root to a folder with instructions_raw.json and imagenes/ "
            "(add `--set data.root=FOLDER`)."
        )
    if needs_images and not folder.images.is_dir():
        raise DataError(
            f"{root} lacks the folder imagenes: put the images there, as imagenes/<image path of a record>, or "
            "name the folders of the sources in data.image_root."
        )
    for file in (folder.raw, folder.dataset, *(path.with_suffix(".jsonl") for path in (folder.raw, folder.dataset))):
        if file.is_file():
            return file
    raise DataError(f"{root} lacks {folder.raw.name} and {folder.dataset.name}: put the instruction file there.")


class RawData(ImagesRef):
    """The current state of a data folder: its digest covers the instruction file, the settings and the images used."""

    raw: Path


def raw_data(root: Path, config: DataConfig, views: Path | None = None) -> RawData:
    """Read a data folder; raises DataError when a part is missing or a record is invalid.

    Where `config.image_root` names folders elsewhere, the images folder is a view of links, created in `views`,
    which is then required.
    """
    raw = find_raw(root, needs_images=not config.image_root)
    images = linked_images(DataFolder(root).images, config.image_root, views) if views else DataFolder(root).images
    return RawData(path=root, sha256=choose_records(raw, images, config).fingerprint, raw=raw, images=images)


def choose_sets_folder(data: RawData, fallback: Path) -> Path:
    """ROOT/sets where it is free or holds exactly these sets; else, or where it is read-only, `fallback`."""
    sets = DataFolder(data.path).sets
    if not sets.exists():
        # a folder without write permission is meant to stay unchanged, even where root could write to it
        return sets if os.access(data.path, os.W_OK) and data.path.stat().st_mode & ANY_WRITE else fallback
    manifest = read_manifest(sets)
    return sets if manifest is not None and manifest.fingerprint == data.sha256 else fallback


def prepare_dataset(raw: Path, images: Path, config: DataConfig, out: Path) -> DatasetRef:
    """Filter, split and reduce the records of `raw` into the folder `out`.

    Records whose image is missing are dropped and counted; so are those whose image cannot be read, if
    `config.broken_images` is "drop". A complete folder of the same inputs and settings is kept. Raises DataError for
    invalid records, broken images and chosen sources without records, and OccupiedError when `out` holds other content.
    """
    selected = choose_records(raw, images, config)
    manifest = verified_manifest(out, selected.fingerprint)
    if manifest is None:
        refusal = f"{out} holds sets other than those to be prepared: give another folder, or move it away."
        require_free_folder(out, selected.fingerprint, refusal)
        manifest = write_version(selected, images, config, out)
    _print_summary(manifest, out)
    return DatasetRef(
        path=out,
        sha256=content_digest(manifest),
        images=images,
        images_sha256=selected.images_sha256,
        records=manifest.details["records"],
        unnamed_source=config.unnamed_source,
    )


def choose_records(raw: Path, images: Path, config: DataConfig) -> SelectedRecords:
    """Read, filter and check the records of the chosen sources, without opening an image.

    The settings of sources and image folders are applied to the records first.
    """
    if not images.is_dir() and not config.image_root:
        raise DataError(f"{images} is not a folder: give the folder that image paths start from.")
    require_folders(config.image_root)
    require_known([*config.sources, *config.image_root], config.unnamed_source, config.custom_names)
    inputs, facts = inputs_of(raw), SourceFacts(config)
    records = [applied for record, _ in iterate_records(raw, no_fault) for applied in facts.applied(record)]
    texts, others = choose_texts(records) if config.text_only == "train" else (Filtered([], {}), records)
    several, others = choose_several(others, config)
    filtered = filter_records(others, config.sources, unnamed=config.unnamed_source)
    # together, since a text may have the id of a record with an image
    checked = check_records([*filtered.records, *texts.records, *several.records], config.record_faults)
    with_one, alone, with_several = (
        [record for record in checked.records if min(len(images_of(record)), 2) == number] for number in (1, 0, 2)
    )
    named = {image for record in checked.records for image in images_of(record)}
    files = {image: located_image(images, config.image_root, image) for image in named}
    lost = (filtered.dropped, texts.dropped, several.dropped, checked.dropped)
    counts = replace(
        checked,
        records=with_one,
        dropped=dict(sum(map(Counter, lost), Counter[str]())),
        noticed={**checked.noticed, **facts.noticed},
    )
    return SelectedRecords(counts, inputs, config.content, files_digest(files), alone, with_several)


def _print_summary(manifest: Manifest, out: Path) -> None:
    numbers = ", ".join(f"{name} {number}" for name, number in manifest.details["records"].items())
    print(f"sets in {out}: {numbers}")
    for what in ("dropped", "repaired", "noticed"):
        for reason, number in manifest.details[what].items():
            print(f"  {what} {number}: {reason}")
    for line in describe_tasks(manifest.details["tasks"]):
        print(f"  {line}")
