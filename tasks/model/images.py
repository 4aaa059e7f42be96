"""Read images correctly, then pad, scale and normalise them as CLIP expects."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import DataError
from tasks.model.image_limits import TooLargeError, opened_file, opened_image, require_small_exif
from tasks.model.image_scaling import STRIP_PIXELS, scale_for

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from transformers import BaseImageProcessor

SIXTEEN_BIT_MODES = ("I", "I;16", "I;16B", "I;16L", "F")
ORIENTATION = 0x0112


def read_image(path: Path) -> "Image":
    """Read an image as 8-bit RGB, upright; raises DataError if it is missing, too large or no image.

    16-bit and float images are scaled from their own range to 0..255; a plain conversion would clip them to white.
    """
    with _readable(path):
        with opened_file(path) as file, opened_image(file, path) as image:
            image.load()
            require_small_exif(image, path)
        # separate assignments: each frees the image before it
        image = upright(image)
        image = eight_bit(image)
        return image if image.mode == "RGB" else image.convert("RGB")


def require_image(path: Path) -> None:
    """Raise DataError, from the header alone, if the image is missing, too large for `read_image` or no image."""
    with _readable(path), opened_file(path) as file, opened_image(file, path):
        pass


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except TooLargeError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: check the images folder and the record's path.") from None
    except Exception as error:
        # for a damaged file, decoders raise errors of many types
        raise DataError(f"{path} is not a readable image ({error}): fetch it again or drop its record.") from None


def upright(image: "Image") -> "Image":
    """The image rotated or flipped as its EXIF says; the same object if it is upright."""
    from PIL.Image import Transpose

    transposes = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    transpose = transposes.get(image.getexif().get(ORIENTATION, 1))
    return image if transpose is None else image.transpose(transpose)


def eight_bit(image: "Image") -> "Image":
    """Scale a 16-bit or float image from its own range to 0..255; other images are unchanged.

    Raises ValueError if all pixels are NaN or infinite.
    """
    if image.mode not in SIXTEEN_BIT_MODES:
        # a transparent palette entry would otherwise turn black or warn
        return image.convert("RGBA") if image.mode == "P" and "transparency" in image.info else image
    import numpy as np
    from PIL import Image

    low, high = _range_of(image)
    scaled = Image.new("L", image.size)
    for top, values in _strips(image):
        # NaN often marks pixels without a measurement: they become dark and do not affect the range
        shades = (np.where(np.isfinite(values), values, low) - low) / (high - low or 1.0) * 255
        scaled.paste(Image.fromarray(shades.round().astype(np.uint8)), (0, top))
    return scaled


def _range_of(image: "Image") -> tuple[float, float]:
    import numpy as np

    ranges = [(seen.min(), seen.max()) for _, values in _strips(image) if len(seen := values[np.isfinite(values)])]
    if not ranges:
        raise ValueError("no pixel holds a number")
    return float(min(low for low, _ in ranges)), float(max(high for _, high in ranges))


def _strips(image: "Image") -> Iterator[tuple[int, "np.ndarray"]]:
    """Strips of rows: the number of the first row, and float64 values (rows, width)."""
    import numpy as np

    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, np.asarray(image.crop((0, top, image.width, min(image.height, top + rows))), dtype=np.float64)


def pixels_of(image: "Image", image_processor: "BaseImageProcessor") -> "np.ndarray":
    """Pixel values for the vision tower: float32 (channels, height, width)."""
    # explicit, since a 1 x 1 or 3 x 3 image would be taken for channels first
    batch = image_processor(scale_for(image, image_processor), input_data_format="channels_last", return_tensors="np")
    return batch["pixel_values"][0]
