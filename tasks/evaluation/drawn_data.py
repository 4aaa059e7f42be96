"""Whether a test set was drawn by rsvlm itself, which gives its images the paths of real sources."""

from pathlib import Path

from tasks.choices import LESSONS, SAMPLE
from tasks.errors import DataError
from tasks.evaluation.pairing import iterate_texts
from tasks.files import digest_or_none, read_json
from tasks.image_paths import image_key
from tasks.manifests import read_manifest
from tasks.paths import DataFolder, manifest_path_of
from tasks.records import Manifest

DRAWN = "drawn sample data"


def label_of(source: str, drawn: bool) -> str:
    """A source's name as pages show it: drawn data never has the name of a real source alone."""
    return f"{source} ({DRAWN})" if drawn else source


def is_drawn(data: Path, images: Path | None) -> bool:
    """Whether the manifest of the data folder says that it was drawn and lists exactly this test set's bytes.

    These are its images, or, if they are not given, the instruction file that the sets in the folder are made from.
    """
    folder = DataFolder(images.parent if images else data.parent.parent)
    manifest = read_manifest(folder.root)
    if manifest is None or manifest.details.get("kind") not in (SAMPLE, LESSONS):
        return False
    return _has_images(manifest, data, images) if images else _has_instructions(manifest, data, folder)


def _has_images(manifest: Manifest, data: Path, images: Path) -> bool:
    names = {image_key(record.image) for record in iterate_texts(data)}
    listed = {name: manifest.files.get(f"{images.name}/{name}") for name in names}
    # an image that is missing cannot be another one
    return bool(names) and all(
        entry and digest_or_none(images / name) in (None, entry["sha256"]) for name, entry in listed.items()
    )


def _has_instructions(manifest: Manifest, data: Path, folder: DataFolder) -> bool:
    try:
        made_from = read_json(manifest_path_of(data))["inputs"]
    except (DataError, KeyError, TypeError):
        return False
    name = folder.raw.name
    return name in manifest.files and made_from == {name: manifest.files[name]["sha256"]}
