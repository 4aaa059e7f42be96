"""What one image file is: whole or broken, of which kind and size, its hash, and how it looks from afar."""

import hashlib
import io
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.data.looks import SIDE, Look, look_of
from tasks.errors import DataError
from tasks.model.images import MAX_PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image

MISSING = "image file missing"
EMPTY = "image file empty"
UNREADABLE = "image cannot be read"
TOO_LARGE = "image has too many pixels"
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
        # a Path for each of 45,000 files costs half a second
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return ImageState(UNREADABLE)
            data = file.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        return ImageState(MISSING)
    except OSError:
        return ImageState(UNREADABLE)
    found: dict[str, Any] = {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if not data:
        return ImageState(EMPTY, **found)
    try:
        return _decoded(path, data, found, with_look)
    except _TooLarge:
        return ImageState(TOO_LARGE, **found)
    except Exception:
        # decoders raise whatever they stumble over in a damaged file
        return ImageState(UNREADABLE, **found)


def _without_waiting(path: str, flags: int) -> int:
    # a named pipe would be waited for, without end
    return os.open(path, flags | os.O_NONBLOCK)


class _TooLarge(DataError):
    pass


def _decoded(path: str, data: bytes, found: dict[str, Any], with_look: bool) -> ImageState:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _TooLarge
            kind = image.format or ""
            found |= {"kind": kind, "width": image.width, "height": image.height}
            # a look is taken from twice its own pixels; without one nobody sees any
            image.draft(*(("RGB", (2 * SIDE, 2 * SIDE)) if with_look else ("L", (1, 1))))
            image.load()
            _require_whole(image, data)
            if path[path.rfind(".") :].lower() not in SUFFIXES.get(kind, ()):
                found["note"] = OTHER_KIND
            return ImageState(**found, look=look_of(image) if with_look else None)
    except Image.DecompressionBombError:
        raise _TooLarge from None


def _require_whole(image: "Image", data: bytes) -> None:
    """Find what a decoder overlooks: a JPEG whose end is missing or zeros, a PNG whose checksums are wrong."""
    from PIL import Image

    # what stands behind the end is some camera's, but not half of the file
    if image.format == "JPEG" and data.rfind(END_OF_JPEG) < len(data) // 2:
        raise DataError("the end of the image is missing")
    if image.format == "PNG":
        with Image.open(io.BytesIO(data)) as again:
            again.verify()
