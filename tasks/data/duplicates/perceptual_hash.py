"""How an image looks from afar: the same for a copy that was encoded, scaled or brightened, another for a flipped one.

The hash is the pHash of Zauner (Implementation and Benchmarking of Perceptual Image Hash Functions, 2010): the signs of
low frequencies against their median.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from tasks.model.images import eight_bit, upright

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

SIDE = 32
LOW = 8
SQUARE = 4
# What is left of an image that was brightened until nearly all of it is white.
DARKEST = SIDE * SIDE // 8
# A square of which brightening cut a part has a mean below 255.
CUT_FROM = 245
SURELY_UNCUT = 0.9


@dataclass(frozen=True)
class Look:
    """An image at 32 x 32 pixels: its grey, and the darkest of its colours, which brightening turns white last."""

    grey: bytes
    dark: bytes


def look_of(image: "Image") -> Look:
    """How a decoded image looks; EXIF rotation is honoured, so that a rotated copy counts as what is seen."""
    from PIL import Image, ImageChops

    # most images carry no EXIF, and looking for it costs a fifth of decoding a small one
    turned = upright(image) if "exif" in image.info or image.format == "TIFF" else image
    small = _coloured(eight_bit(turned)).resize((SIDE, SIDE), Image.Resampling.BOX)
    grey = small.convert("L").tobytes()
    if small.mode == "L":
        return Look(grey, grey)
    red, green, blue = small.split()
    return Look(grey, ImageChops.darker(ImageChops.darker(red, green), blue).tobytes())


def _coloured(image: "Image") -> "Image":
    # a palette's numbers are no brightness
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def shapes_of(pixels: "np.ndarray") -> "np.ndarray":
    """The low frequencies of images of shape (n, 32, 32) less their median, (n, 64); their signs are the hash."""
    import numpy as np

    matrix = _cosines()
    low = (matrix @ pixels.astype(np.float32) @ matrix.T).reshape(-1, LOW * LOW)
    # the first value is the brightness, and says nothing of the shape
    middle = LOW * LOW // 2 - 1
    return low - np.partition(low[:, 1:], middle, axis=1)[:, middle, None]


@cache
def _cosines() -> "np.ndarray":
    """The low frequencies' rows of the discrete cosine transform of type II, 8 x 32."""
    import numpy as np

    rows, columns = np.mgrid[0:LOW, 0:SIDE]
    return np.cos(np.pi * rows * (2 * columns + 1) / (2 * SIDE)).astype(np.float32)


def darkest_of(dark: "np.ndarray") -> "np.ndarray":
    """Images of shape (n, 32, 32) of which all but the darkest eighth is level."""
    import numpy as np

    return np.minimum(dark, np.partition(dark.reshape(len(dark), -1), DARKEST - 1)[:, DARKEST - 1, None, None])


def uncut_of(one: "np.ndarray", other: "np.ndarray") -> tuple["np.ndarray", "np.ndarray"]:
    """Pairs of images levelled from where brightening may have cut either of them."""
    import numpy as np

    uncut = ((one < CUT_FROM) & (other < CUT_FROM)).sum(axis=(1, 2))
    cut = np.flatnonzero(uncut < SIDE * SIDE)
    one, other = one.copy(), other.copy()
    # the darkest places of both, whatever their values
    last = np.maximum((uncut[cut] * SURELY_UNCUT).astype(int) - 1, 0)
    for images in (one, other):
        level = np.sort(images[cut].reshape(len(cut), SIDE * SIDE))[np.arange(len(cut)), last]
        images[cut] = np.minimum(images[cut], level[:, None, None])
    return one, other


def correlation_of_detail(one: "np.ndarray", other: "np.ndarray") -> "np.ndarray":
    """Correlation of what differs within squares of 4 x 4, for pairs of images; 0 where one of them is blank."""
    import numpy as np

    one, other = _detail(one), _detail(other)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.einsum("ij,ij->i", one, other) / np.where(norms > 0, norms, np.inf)


def _detail(images: "np.ndarray") -> "np.ndarray":
    import numpy as np

    across = SIDE // SQUARE
    squares = images.astype(np.float32).reshape(-1, across, SQUARE, across, SQUARE)
    # down, then across: a mean over both at once takes four times as long
    means = squares.sum(axis=2).sum(axis=3) / SQUARE**2
    return (squares - means[:, :, None, :, None]).reshape(len(images), SIDE * SIDE)
