"""Limits on images, checked from the header before pixels are decoded; all code that reads images uses them."""

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

# Pillow reads many more, some of them with external programs
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000")

# memory for reading an image; with the rest of a process it stays below 600 MB
MEMORY_BYTES = 500_000_000
FILE_BYTES = 200_000_000
METADATA_BYTES = 4_000_000
# longest side to shortest; beyond it a model would see less than one row of pixels
MAX_RATIO = 400

# bytes per decoded pixel, including a rotated or RGB copy
PIXEL_BYTES = 9
# bytes per pixel while decoding: coefficients of a progressive JPEG, canvases of WebP, integers of JPEG 2000
JPEG_BYTES = {"L": 3, "RGB": 10, "CMYK": 12}
WEBP_BYTES = 22
JPEG2000_BYTES, JPEG2000_BAND_BYTES = 4, 8
NARROW_MODES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
HEX_EXIF = "Raw profile type exif"


@contextmanager
def opened_file(path: str | Path) -> Iterator[BufferedReader]:
    """Open a file for reading; raises OSError if it is not a regular file: a named pipe could block forever."""
    with open(path, "rb", opener=_nonblocking) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("not a regular file")
        yield file


def _nonblocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


@contextmanager
def opened_image(file: BinaryIO, name: str | Path) -> Iterator["Image"]:
    """Open an image without decoding it; decoding will then take less than 600 MB.

    Raises TooLargeError if it would take more, and Pillow's errors for a damaged file.
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
    """The file's size in bytes; raises TooLargeError if it exceeds FILE_BYTES."""
    size = file.seek(0, os.SEEK_END)
    if size > FILE_BYTES:
        reason = f"has {size / 1e6:,.0f} MB, above the limit of {FILE_BYTES / 1e6:,.0f} MB: cut it into tiles first."
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
    """Raise TooLargeError if EXIF data unpacks to more than METADATA_BYTES; call it before Pillow parses EXIF."""
    exif = image.info.get("exif") or b""
    if not exif and HEX_EXIF in image.info:
        exif = bytes.fromhex("".join(image.info[HEX_EXIF].split("\n")[3:]))
    _require_small_metadata(exif_bytes(exif), name)


def _require_small_metadata(size: int, name: str | Path) -> None:
    if size > METADATA_BYTES:
        limit = f"{METADATA_BYTES / 1e6:,.0f} MB"
        raise TooLargeError(
            name, f"holds {size / 1e6:,.1f} MB of metadata, above the limit of {limit}: save it without."
        )


def _require_small(image: "Image", header: Header, file_bytes: int, name: str | Path) -> None:
    width, height = image.size
    if max(width, height) > MAX_RATIO * min(width, height):
        reason = f"has {width:,} x {height:,} pixels, above the limit of {MAX_RATIO} to 1"
        raise TooLargeError(name, f"{reason}: cut it into tiles first.")
    needed = header.opening + _decoding(image, header, file_bytes)
    if needed > MEMORY_BYTES:
        raise TooLargeError(name, f"has {width:,} x {height:,} pixels ({image.mode}) and {_too_much(needed)}")


def _decoding(image: "Image", header: Header, file_bytes: int) -> int:
    """The most memory that decoding takes, in bytes."""
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
            # the decompressor holds the file
            return needed + (file_bytes if header.block else 0)
    # Pillow keeps a GIF's comments
    return pixels * PIXEL_BYTES + (file_bytes if image.format == "GIF" else 0)


def _too_much(needed: int) -> str:
    return (
        f"needs {needed / 1e6:,.0f} MB of memory to be read, above the limit of {MEMORY_BYTES / 1e6:,.0f} MB: "
        "cut it into tiles first."
    )
