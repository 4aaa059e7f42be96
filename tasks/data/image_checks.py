"""What one image file is: whole or broken, of which kind and size, its hash, and how it looks from afar."""

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any

from tasks.data.duplicates.perceptual_hash import SIDE, Look, look_of
from tasks.data.fetching.layout import files_of
from tasks.data.records_file import Record
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
from tasks.process_pools import map_in_processes
from tasks.sources import SOURCES

MISSING = "image file missing"
EMPTY = "image file empty"
UNREADABLE = "image cannot be read"
TOO_LARGE = "image is too large to be read"
BROKEN = frozenset({EMPTY, UNREADABLE, TOO_LARGE})
OTHER_KIND = "of another kind than its name says"

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
    """What was found at an image's path: `fault` alone where there is no file, a `look` where asked."""

    fault: str | None = None
    note: str | None = None
    kind: str | None = None
    width: int = 0
    height: int = 0
    size_bytes: int = 0
    sha256: str | None = None
    look: Look | None = None


def state_of(path: str, with_look: bool) -> ImageState:
    """Read and decode an image file once; whatever is wrong with it is told in `fault`.

    Of a JPEG every bit is decoded, which is where damage shows, but the finest detail (and without a look, the colours)
    are not computed from the coefficients: that cannot fail. The same files are found broken as by a decode to all
    pixels.
    """
    try:
        with opened_file(path) as file:
            return _state_of(path, file, with_look)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        return ImageState(MISSING)
    except OSError:
        return ImageState(UNREADABLE)


def _state_of(path: str, file: BufferedReader, with_look: bool) -> ImageState:
    found: dict[str, Any] = {"size_bytes": os.fstat(file.fileno()).st_size}
    try:
        require_small_file(file, path)
        file.seek(0)
        found["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        if not found["size_bytes"]:
            return ImageState(EMPTY, **found)
        return _decoded(path, file, found, with_look)
    except TooLargeError:
        return ImageState(TOO_LARGE, **found)
    except Exception:
        # decoders raise whatever they stumble over in a damaged file
        return ImageState(UNREADABLE, **found)


def _decoded(path: str, file: BufferedReader, found: dict[str, Any], with_look: bool) -> ImageState:
    look = None
    with opened_image(file, path) as image:
        kind = image.format or ""
        found |= {"kind": kind, "width": image.width, "height": image.height}
        # a look is taken from twice its own pixels; without one nobody sees any
        image.draft(*(("RGB", (2 * SIDE, 2 * SIDE)) if with_look else ("L", (1, 1))))
        image.load()
        require_small_exif(image, path)
        # images of floats may hold no number at all
        if with_look or image.mode == "F":
            look = look_of(image)
    # its pixels are let go before the file is gone through
    del image
    _require_whole(kind, file, found["size_bytes"])
    if path[path.rfind(".") :].lower() not in SUFFIXES.get(kind, ()):
        found["note"] = OTHER_KIND
    return ImageState(**found, look=look if with_look else None)


def _require_whole(kind: str, file: BufferedReader, size: int) -> None:
    """Find what a decoder overlooks: a JPEG whose end is missing or zeros, a PNG whose checksums are wrong."""
    from PIL import Image

    file.seek(size // 2)
    # what stands behind the end is some camera's, but not half of the file
    if kind == "JPEG" and END_OF_JPEG not in file.read():
        raise DataError("the end of the image is missing")
    if kind == "PNG":
        file.seek(0)
        with Image.open(file, formats=FORMATS) as again:
            again.verify()


# Starting a process costs as much as decoding some hundred small images.
ALONE_BELOW = 300
CHUNK = 64


def images_digest(images: Path, names: Iterable[str]) -> str:
    """One digest of path, size and modification time of images, none of which is read; a missing one counts too."""
    return digest_of([[name, _file_state(images / image_key(name))] for name in sorted(set(names))])


def _file_state(path: Path) -> list[int] | None:
    try:
        state = path.stat()
    except (OSError, ValueError):
        return None
    return [state.st_size, state.st_mtime_ns]


def look_at_images(
    images: Path, names: Collection[str], with_look: bool = False, workers: int | None = None
) -> dict[str, ImageState]:
    """Read, decode and hash each image once, in as many processes as there are CPUs."""
    paths = [f"{images}/{image_key(name)}" for name in names]
    return dict(zip(names, _states(paths, with_look, workers or os.cpu_count() or 1), strict=True))


def _states(paths: Sequence[str], with_look: bool, workers: int) -> list[ImageState]:
    look = partial(state_of, with_look=with_look)
    if len(paths) < ALONE_BELOW or workers < 2:
        return list(map(look, paths))
    return map_in_processes(look, paths, workers, CHUNK)


def faults_in(states: Mapping[str, ImageState]) -> dict[str, str]:
    """Why images cannot be used, for those that cannot."""
    return {name: state.fault for name, state in states.items() if state.fault}


def verification_of(
    images: Path, records: Sequence[Record], states: Mapping[str, ImageState], sources: Collection[str]
) -> dict[str, Any]:
    """The report as JSON: faults with the ids of the records they cost, files of another kind, unreferenced files."""
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
        "unreferenced": _unreferenced(images, states, sources),
    }


def _unreferenced(images: Path, names: Collection[str], sources: Collection[str]) -> list[str]:
    asked = {image_key(name) for name in names}
    folders = [images / SOURCES[name].folder for name in sources if name in SOURCES]
    found = (path.relative_to(images).as_posix() for folder in folders if folder.is_dir() for path in files_of(folder))
    return [name for name in found if name not in asked]
