"""How an image looks from afar: the same for a copy that was encoded, scaled or brightened, another for a flipped one.

The hash is the pHash of Zauner (Implementation and Benchmarking of Perceptual Image Hash Functions, 2010): the signs of
low frequencies against their median.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

SIDE = 32
LOW = 8


@dataclass(frozen=True)
class Look:
    """A 64-bit perceptual hash, and the grey image at 32 x 32 pixels that it was made from."""

    phash: int
    pixels: bytes


def look_of(image: "Image") -> Look:
    """How a decoded image looks; EXIF rotation is honoured, so that a rotated copy counts as what is seen."""
    import numpy as np
    from PIL import Image, ImageOps

    # most images carry no EXIF, and looking for it costs a fifth of decoding a small one
    upright = ImageOps.exif_transpose(image) if "exif" in image.info or image.format == "TIFF" else image
    small = _grey(upright).resize((SIDE, SIDE), Image.Resampling.BOX)
    grey = np.asarray(small, dtype=np.float32)
    matrix = cosines()
    low = (matrix @ grey @ matrix.T)[:LOW, :LOW].ravel()
    # the first value is the brightness, and says nothing of the shape; np.median takes ten times as long
    bits = low > np.sort(low[1:])[LOW * LOW // 2 - 1]
    phash = int.from_bytes(np.packbits(bits).tobytes(), "big")
    return Look(phash, small.tobytes())


def _grey(image: "Image") -> "Image":
    from PIL import Image

    if image.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
        import numpy as np

        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        low, high = float(values.min()), float(values.max())
        return Image.fromarray(((values - low) / (high - low or 1) * 255).astype(np.uint8))
    # by way of RGB: a palette's numbers are no brightness
    return image.convert("L") if image.mode in ("L", "RGB") else image.convert("RGB").convert("L")


@cache
def cosines() -> "np.ndarray":
    """The matrix of the discrete cosine transform of type II, 32 x 32."""
    import numpy as np

    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    return np.cos(np.pi * rows * (2 * columns + 1) / (2 * SIDE)).astype(np.float32)
