"""Check the image files of records: damage, format, size, SHA-256 and, on request, pixels for a perceptual hash."""

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TypedDict

from tasks.data.duplicates.perceptual_hash import SIDE, HashPixels, hash_pixels_of
from tasks.data.fetching.layout import files_of
from tasks.errors import DataError
from tasks.files import digest_of
from tasks.image_paths import image_key
from tasks.model.image_limits import (
    FORMATS,
    TooLargeError,
    opened_file,
    opened_image,
    require_small_exif,
    require_small_file,
)
from tasks.record_reader import Record

MISSING = "image file missing"
EMPTY = "image file empty"
UNREADABLE = "image cannot be read"
TOO_LARGE = "image is too large to be read"
BROKEN = frozenset({EMPTY, UNREADABLE, TOO_LARGE})
OTHER_KIND = "format does not match the file name"

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "JPEG2000": (".jp2", ".j2k"),
}
END_OF_JPEG = b"\xff\xd9"


@dataclass(frozen=True)
class ImageState:
    """The result of checking one image path: only `fault` where there is no file, `hash_pixels` only on request."""

    fault: str | None = None
    note: str | None = None
    kind: str | None = None
    width: int = 0
    height: int = 0
    size_bytes: int = 0
    sha256: str | None = None
    hash_pixels: HashPixels | None = None


class _Found(TypedDict, total=False):
    """What is known of an image so far, also where the rest of its file turns out to be damaged."""

    kind: str
    width: int
    height: int
    size_bytes: int
    sha256: str


def images_digest(images: Path, names: Iterable[str]) -> str:
    """One digest of path, size and modification time of images, without reading them; missing ones count as such."""
    return files_digest({name: images / image_key(name) for name in names})


def files_digest(files: Mapping[str, Path]) -> str:
    """The digest of images by name, as images_digest."""
    return digest_of([[name, _file_state(files[name])] for name in sorted(files)])


def _file_state(path: Path) -> list[int] | None:
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return [state.st_size, state.st_mtime_ns]


def faults_in(states: Mapping[str, ImageState]) -> dict[str, str]:
    """The faults of the images that cannot be used, by name."""
    return {name: state.fault for name, state in states.items() if state.fault}


def check_image(path: str, with_hash: bool) -> ImageState:
    """Read and decode an image file once; any problem is reported in `fault`.

    Every bit of a JPEG is decoded, where damage shows, but the highest frequencies (and, without a hash, the colours)
    are not computed from the coefficients, which cannot fail. So the same files are found broken as by a full decode.
    """
    try:
        with opened_file(path) as file:
            return _state_of(path, file, with_hash)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        return ImageState(MISSING)
    except OSError:
        return ImageState(UNREADABLE)


def _state_of(path: str, file: BufferedReader, with_hash: bool) -> ImageState:
    found: _Found = {"size_bytes": os.fstat(file.fileno()).st_size}
    try:
        require_small_file(file, path)
        file.seek(0)
        found["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        if not found["size_bytes"]:
            return ImageState(EMPTY, **found)
        return _decoded(path, file, found, with_hash)
    except TooLargeError:
        return ImageState(TOO_LARGE, **found)
    except Exception:
        # decoders raise errors of any type for a damaged file
        return ImageState(UNREADABLE, **found)


def _decoded(path: str, file: BufferedReader, found: _Found, with_hash: bool) -> ImageState:
    pixels = None
    with opened_image(file, path) as image:
        kind = image.format or ""
        found |= {"kind": kind, "width": image.width, "height": image.height}
        # hash pixels are computed from twice their size; without them the decoded pixels are not used
        image.draft(*(("RGB", (2 * SIDE, 2 * SIDE)) if with_hash else ("L", (1, 1))))
        image.load()
        require_small_exif(image, path)
        # an image of floats may hold no finite number
        if with_hash or image.mode == "F":
            pixels = hash_pixels_of(image)
    # frees the decoded pixels before the whole file is read
    del image
    _require_complete(kind, file, found["size_bytes"])
    return ImageState(note=note_of(path, kind), **found, hash_pixels=pixels if with_hash else None)


def note_of(path: str, kind: str) -> str | None:
    """What is odd about an image of a format under this path, though it can be read; or None."""
    return None if path[path.rfind(".") :].lower() in SUFFIXES.get(kind, ()) else OTHER_KIND


def _require_complete(kind: str, file: BufferedReader, size: int) -> None:
    """Find damage that decoders overlook: a JPEG whose end is missing or zeros, a PNG with wrong checksums."""
    from PIL import Image

    file.seek(size // 2)
    # some cameras append data after the end marker, but not half of the file
    if kind == "JPEG" and END_OF_JPEG not in file.read():
        raise DataError("the end of the image is missing")
    if kind == "PNG":
        file.seek(0)
        with Image.open(file, formats=FORMATS) as again:
            again.verify()


def image_report(
    images: Path, records: Sequence[Record], states: Mapping[str, ImageState], folders: Collection[str]
) -> dict[str, object]:
    """The content of verification.json: faults with the ids of their records, files whose name has a different
    format, and files in `folders`, which are relative to the images folder, that no record refers to."""
    ids: dict[str, list[str | int]] = {}
    for record in records:
        ids.setdefault(record["image"], []).append(record["id"])
    return {
        "version": 1,
        "images": len(states),
        "faults": [
            {"image": name, "reason": state.fault, "records": ids[name]}
            for name, state in states.items()
            if state.fault
        ],
        "noticed": [
            {"image": name, "what": state.note, "kind": state.kind} for name, state in states.items() if state.note
        ],
        "unreferenced": _unreferenced(images, states, folders),
    }


def _unreferenced(images: Path, names: Collection[str], folders: Collection[str]) -> list[str]:
    referenced = {image_key(name) for name in names}
    existing = (images / folder for folder in folders if (images / folder).is_dir())
    found = (path.relative_to(images).as_posix() for folder in existing for path in files_of(folder))
    return [name for name in found if name not in referenced]
