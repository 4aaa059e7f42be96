"""Paths of images as records name them: below the folder of images, whatever is written there."""

import os
import posixpath
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tasks.errors import DataError, shortened

# the most that Linux takes
MOST_CHARACTERS = 4096


def image_key(image: str) -> str:
    """The image that a path means: the same file written in two ways has one key."""
    # asked for millions of times, and nearly always of a path that is tidy already
    if not image or "\\" in image or "//" in image or "/." in image or image[0] == "." or image[-1] == "/":
        return posixpath.normpath(image.replace("\\", "/"))
    return image


def leaves_folder(image: str) -> bool:
    """Whether a path is absolute, leads out of the folder that it starts from, or is that folder itself.

    Links below the folder may lead elsewhere: a data set may lie on another disk.
    """
    key = image_key(image)
    return key.startswith(("/", "../")) or key in (".", "..") or key[1:2] == ":"


def fault_of_image(image: str) -> str | None:
    """Why a path cannot be that of an image below the folder of images, or None."""
    if leaves_folder(image):
        return f"names the image {shortened(image)}, outside the images folder"
    if "\0" in image or len(image) > MOST_CHARACTERS:
        return "names an image by what no path can be"
    try:
        os.fsencode(image)
    except UnicodeEncodeError:
        return "names an image by what no path can be"
    return None


def image_file(images: Path, image: str) -> Path:
    """The file of an image below the folder of images; raises DataError for a path that leads elsewhere."""
    if fault := fault_of_image(image):
        raise DataError(
            f"A record {fault}: give it a path below {images}, or drop it with `rsvlm data filter --sources all`."
        )
    # not as it is written: by a link and .. that could lead out
    return images / image_key(image)


def require_images_inside(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Raise DataError, naming the first record of a file whose image cannot lie in the images folder."""
    for index, record in enumerate(records):
        image = record.get("image")
        if image and isinstance(image, str) and (fault := fault_of_image(image)):
            raise DataError(f"{path}: record {index} (id {shortened(record.get('id'))}) {fault}; fix or remove it.")
