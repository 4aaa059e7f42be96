"""Image paths in records: relative to the images folder, and never outside it."""

import os
import posixpath
from pathlib import Path

from tasks.errors import DataError, shortened

# the limit of Linux
MAX_CHARACTERS = 4096
ABSOLUTE_ADVICE = (
    "`rsvlm data filter --set data.image_root.SOURCE=FOLDER` makes paths inside FOLDER relative; a run has this setting"
)


def image_key(image: str) -> str:
    """A normalised path: different spellings of the same path have one key."""
    # called millions of times, nearly always with a path that is normalised already
    if not image or "\\" in image or "//" in image or "/." in image or image[0] == "." or image[-1] == "/":
        return posixpath.normpath(image.replace("\\", "/"))
    return image


def is_absolute(image: str) -> bool:
    """Whether a path starts from the root of the file system."""
    return image_key(image).startswith("/")


def leaves_folder(image: str) -> bool:
    """Whether a path is absolute, leads out of the folder that it starts from, or is that folder itself.

    Links in the folder may lead elsewhere: a data set may be on another disk.
    """
    key = image_key(image)
    return key.startswith(("/", "../")) or key in (".", "..") or key[1:2] == ":"


def fault_of_image(image: str) -> str | None:
    """What is wrong with an image path, as the end of a sentence; None if it is valid."""
    if leaves_folder(image):
        advice = f" ({ABSOLUTE_ADVICE})" if is_absolute(image) else ""
        return f"names the image {shortened(image)}, outside the images folder{advice}"
    if "\0" in image or len(image) > MAX_CHARACTERS:
        return "names an image by an impossible path"
    try:
        os.fsencode(image)
    except UnicodeEncodeError:
        return "names an image by an impossible path"
    return None


def image_file(images: Path, image: str) -> Path:
    """The file of an image in the images folder; raises DataError for an invalid path or one that leads elsewhere."""
    if fault := fault_of_image(image):
        raise DataError(
            f"A record {fault}: give it a path under {images}, or drop it with `rsvlm data filter --sources all`."
        )
    # normalised: a link followed by .. could lead out of the folder
    return images / image_key(image)
