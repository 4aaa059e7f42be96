"""Images as the model sees them: read rightly, padded to a square, scaled and normalised as CLIP wants."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

# A 7B model sees 336 px; ten thousand squared is far above any tile of the four sources.
MAX_PIXELS = 200_000_000
SIXTEEN_BIT_MODES = ("I", "I;16", "I;16B", "I;16L", "F")


def read_image(path: Path) -> "Image":
    """Read an image as RGB, upright as its EXIF says; raises DataError when it is missing or no image.

    16-bit and float images are scaled from their own range to 0..255, where a plain conversion would clip them
    to white.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"{path} has {image.width} x {image.height} pixels: cut it into tiles first.")
            image.load()
            upright = ImageOps.exif_transpose(image)
            return _eight_bit(upright).convert("RGB")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: check the images folder and the record's path.") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is no readable image ({error}): fetch it again or drop its record.") from None


def _eight_bit(image: "Image") -> "Image":
    if image.mode not in SIXTEEN_BIT_MODES:
        # a palette entry that is transparent would otherwise turn black or warn
        return image.convert("RGBA") if image.mode == "P" and "transparency" in image.info else image
    import numpy as np
    from PIL import Image

    values = np.asarray(image, dtype=np.float64)
    # what a sensor did not see is often written as NaN: it is shown dark, and says nothing of the range
    seen = np.isfinite(values)
    if not seen.any():
        raise ValueError("no pixel holds a number")
    low, high = float(values[seen].min()), float(values[seen].max())
    scaled = (np.where(seen, values, low) - low) / (high - low or 1.0) * 255
    return Image.fromarray(scaled.round().astype(np.uint8))


def pixels_of(image: "Image", image_processor: Any) -> "np.ndarray":
    """Pixel values for the vision tower, float32, channels x height x width."""
    # a 1 x 1 or 3 x 3 image would be taken for channels first: say how the array lies
    batch = image_processor(image, input_data_format="channels_last", return_tensors="np")
    return batch["pixel_values"][0]
