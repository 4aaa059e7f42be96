"""Write the records of an instruction file in the format of another tool, and count what that cannot hold."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.choices import ExportFormat
from tasks.data.exporting import coco, hugging_face, sharegpt
from tasks.data.set_files import inputs_of
from tasks.files import read_json
from tasks.paths import DataFolder, manifest_path_of


@dataclass(frozen=True)
class Converted:
    """What was written where, in words, and what the format cannot hold, by reason."""

    path: Path
    written: str
    lost: Mapping[str, int]


@dataclass(frozen=True)
class ConvertRequest:
    """The instruction file with its SHA-256 by name, and what to write from it."""

    dataset: Path
    inputs: Mapping[str, str]
    out: Path
    images: Path | None


def _write_coco(request: ConvertRequest, lost: Counter[str]) -> str:
    return coco.write(request.dataset, request.out, request.inputs, lost)


def _write_sharegpt(request: ConvertRequest, lost: Counter[str]) -> str:
    return sharegpt.write(request.dataset, request.out, request.inputs, lost)


def _write_hugging_face(request: ConvertRequest, lost: Counter[str]) -> str:
    images = request.images or _images_of(request.dataset)
    return hugging_face.write(request.dataset, request.out, images, request.inputs, lost)


def _images_of(dataset: Path) -> Path:
    """The folder of images: the one of the import, by its manifest; imagenes next to the file; the file's folder."""
    manifest = read_json(path) if (path := manifest_path_of(dataset)).is_file() else None
    parameters = manifest.get("parameters") if isinstance(manifest, dict) else None
    imported = parameters.get("images") if isinstance(parameters, dict) else None
    folders = [Path(imported)] if isinstance(imported, str) else []
    folders.append(DataFolder(dataset.parent).images)
    return next((folder for folder in folders if folder.is_dir()), dataset.parent)


FORMATS: Mapping[ExportFormat, Callable[[ConvertRequest, Counter[str]], str]] = {
    "coco": _write_coco,
    "sharegpt": _write_sharegpt,
    "hf": _write_hugging_face,
}


def convert_file(dataset: Path, format: ExportFormat, out: Path, images: Path | None = None) -> Converted:
    """Write the records of `dataset` to `out`: a file with its manifest, or with `hf` a folder.

    Raises DataError for a file without records that the format can hold, for missing images with `hf`, and where `out`
    holds other content.
    """
    lost: Counter[str] = Counter()
    written = FORMATS[format](ConvertRequest(dataset, inputs_of(dataset), out, images), lost)
    return Converted(out, written, dict(lost))
