"""Which images are taken: one decision for all who read images, from the header, before a pixel takes memory."""

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tasks.errors import TooLargeError
from tasks.model.image_directories import exif_bytes
from tasks.model.image_headers import Header, header_of

if TYPE_CHECKING:
    from PIL.Image import Image

# Pillow reads many more, some of them with programs of their own
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000")

# What an image may take while it is read: with what a process needs besides it stays below 600 MB.
MEMORY_BYTES = 500_000_000
FILE_BYTES = 200_000_000
METADATA_BYTES = 4_000_000
# Of a longer one a model would see less than a row of pixels.
MAX_RATIO = 400

# Bytes that a decoded pixel takes, itself or in a copy that is turned or turned to RGB.
PIXEL_BYTES = 9
# Bytes for each pixel while it is decoded: the coefficients of a progressive JPEG, the canvases of WebP, whole numbers.
JPEG_BYTES = {"L": 3, "RGB": 10, "CMYK": 12}
WEBP_BYTES = 22
JPEG2000_BYTES, JPEG2000_BAND_BYTES = 4, 8
NARROW_MODES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
HEX_EXIF = "Raw profile type exif"


@contextmanager
def opened_file(path: str | Path) -> Iterator[BufferedReader]:
    """A file to read; raises OSError for what is none, such as a named pipe, which would be waited for without end."""
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("not a regular file")
        yield file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


@contextmanager
def opened_image(file: BinaryIO, name: str | Path) -> Iterator["Image"]:
    """An image of which no pixel was read yet, and which takes less than 600 MB when it is.

    Raises TooLargeError where it would not, and what Pillow raises for a damaged file.
    """
    from PIL import Image

    size_bytes = require_small_file(file, name)
    header = _header(file, name)
    file.seek(0)
    # our own limit is lower
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError:
        raise TooLargeError(name, "has far too many pixels: cut it into tiles first.") from None
    with image:
        _require_small(image, header, size_bytes, name)
        require_small_exif(image, name)
        yield image


def require_small_file(file: BinaryIO, name: str | Path) -> int:
    """Its size in bytes; raises TooLargeError for a file that is too large whatever it holds."""
    size = file.seek(0, os.SEEK_END)
    if size > FILE_BYTES:
        reason = f"has {size / 1e6:,.0f} MB, and {FILE_BYTES / 1e6:,.0f} MB are the most: cut it into tiles first."
        raise TooLargeError(name, reason)
    return size


def _header(file: BinaryIO, name: str | Path) -> Header:
    try:
        header = header_of(file)
    except (IndexError, OverflowError) as error:
        raise ValueError(f"damaged header: {error}") from None
    _require_small_metadata(header.metadata, name)
    if header.opening > MEMORY_BYTES:
        raise TooLargeError(name, _too_much(header.opening))
    return header


def require_small_exif(image: "Image", name: str | Path) -> None:
    """Raise TooLargeError where EXIF data unpacks to more than it may; to be called before Pillow is asked for it."""
    exif = image.info.get("exif") or b""
    if not exif and HEX_EXIF in image.info:
        exif = bytes.fromhex("".join(image.info[HEX_EXIF].split("\n")[3:]))
    _require_small_metadata(exif_bytes(exif), name)


def _require_small_metadata(size: int, name: str | Path) -> None:
    if size > METADATA_BYTES:
        most = f"{METADATA_BYTES / 1e6:,.0f} MB are the most"
        raise TooLargeError(name, f"holds {size / 1e6:,.1f} MB of metadata, and {most}: save it without.")


def _require_small(image: "Image", header: Header, file_bytes: int, name: str | Path) -> None:
    width, height = image.size
    if max(width, height) > MAX_RATIO * min(width, height):
        reason = f"has {width:,} x {height:,} pixels, and {MAX_RATIO} to 1 is the longest that a model can make out"
        raise TooLargeError(name, f"{reason}: cut it into tiles first.")
    needed = header.opening + _decoding(image, header, file_bytes)
    if needed > MEMORY_BYTES:
        raise TooLargeError(name, f"has {width:,} x {height:,} pixels ({image.mode}) and {_too_much(needed)}")


def _decoding(image: "Image", header: Header, file_bytes: int) -> int:
    """The memory that an image takes at most, in bytes."""
    pixels, bands = image.width * image.height, len(image.getbands())
    match image.format:
        case "JPEG" | "MPO":
            return pixels * max(PIXEL_BYTES, JPEG_BYTES[image.mode])
        case "WEBP":
            # the file is held twice
            return pixels * (WEBP_BYTES - 8) + 2 * file_bytes
        case "JPEG2000":
            return pixels * (JPEG2000_BYTES + JPEG2000_BAND_BYTES * bands) + file_bytes
        case "TIFF":
            needed = max(pixels * PIXEL_BYTES, pixels * NARROW_MODES.get(image.mode, 4) + header.block)
            # what unpacks it holds the file
            return needed + (file_bytes if header.block else 0)
    # a GIF's comments are kept
    return pixels * PIXEL_BYTES + (file_bytes if image.format == "GIF" else 0)


def _too_much(needed: int) -> str:
    return (
        f"needs {needed / 1e6:,.0f} MB of memory to be read, and {MEMORY_BYTES / 1e6:,.0f} MB are the most: "
        "cut it into tiles first."
    )
