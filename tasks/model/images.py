"""Images as the model sees them: read rightly, padded to a square, scaled and normalised as CLIP wants."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import DataError
from tasks.model.image_limits import TooLargeError, opened_file, opened_image, require_small_exif
from tasks.model.image_scaling import scale_for

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

SIXTEEN_BIT_MODES = ("I", "I;16", "I;16B", "I;16L", "F")
# Pixels whose exact values are held at once: a copy of all in float64 would be eight times the image.
STRIP_PIXELS = 1 << 20
ORIENTATION = 0x0112


def read_image(path: Path) -> "Image":
    """Read an image as RGB, upright as its EXIF says; raises DataError when it is missing, too large or no image.

    16-bit and float images are scaled from their own range to 0..255, where a plain conversion would clip them
    to white.
    """
    with _readable(path):
        with opened_file(path) as file, opened_image(file, path) as image:
            image.load()
            require_small_exif(image, path)
        # each step lets go of the one before
        image = upright(image)
        image = eight_bit(image)
        return image if image.mode == "RGB" else image.convert("RGB")


def require_image(path: Path) -> None:
    """Raise DataError, by the header alone, for what is missing, no image or larger than `read_image` takes."""
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
        # decoders raise whatever they stumble over in a damaged file
        raise DataError(f"{path} is no readable image ({error}): fetch it again or drop its record.") from None


def upright(image: "Image") -> "Image":
    """The image turned as its EXIF says; itself where it is upright."""
    from PIL.Image import Transpose

    ways = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    way = ways.get(image.getexif().get(ORIENTATION, 1))
    return image if way is None else image.transpose(way)


def eight_bit(image: "Image") -> "Image":
    """An image whose values are 0..255: one of 16 bits or floats is scaled from its own range.

    Raises ValueError where no pixel holds a number.
    """
    if image.mode not in SIXTEEN_BIT_MODES:
        # a palette entry that is transparent would otherwise turn black or warn
        return image.convert("RGBA") if image.mode == "P" and "transparency" in image.info else image
    import numpy as np
    from PIL import Image

    low, high = _range_of(image)
    scaled = Image.new("L", image.size)
    for top, values in _strips(image):
        # what a sensor did not see is often written as NaN: it is shown dark, and says nothing of the range
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
    """The exact values of some rows after the other, and where they begin."""
    import numpy as np

    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, np.asarray(image.crop((0, top, image.width, min(image.height, top + rows))), dtype=np.float64)


def pixels_of(image: "Image", image_processor: Any) -> "np.ndarray":
    """Pixel values for the vision tower, float32, channels x height x width."""
    # a 1 x 1 or 3 x 3 image would be taken for channels first: say how the array lies
    batch = image_processor(scale_for(image, image_processor), input_data_format="channels_last", return_tensors="np")
    return batch["pixel_values"][0]
