"""Perceptual hash of an image: stable when a copy is re-encoded, scaled or brightened, different when it is flipped.

The hash is pHash (Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010): the signs of the
low frequencies relative to their median.
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
# Pixels left in an image that was brightened until nearly all of it is white.
DARKEST = SIDE * SIDE // 8
# A mean of pixels of which brightening clipped some is below 255.
CLIPPED_FROM = 245
UNCLIPPED_SHARE = 0.9


@dataclass(frozen=True)
class HashPixels:
    """An image reduced to 32 x 32 pixels, uint8: its grey, and the minimum of its channels, which clips last."""

    grey: bytes
    dark: bytes


def hash_pixels_of(image: "Image") -> HashPixels:
    """The pixels of a decoded image that its hash is computed from; the image is rotated as its EXIF says."""
    from PIL import Image, ImageChops

    # most images have no EXIF, and reading it costs a fifth of decoding a small image
    turned = upright(image) if "exif" in image.info or image.format == "TIFF" else image
    small = _coloured(eight_bit(turned)).resize((SIDE, SIDE), Image.Resampling.BOX)
    grey = small.convert("L").tobytes()
    if small.mode == "L":
        return HashPixels(grey, grey)
    red, green, blue = small.split()
    return HashPixels(grey, ImageChops.darker(ImageChops.darker(red, green), blue).tobytes())


def _coloured(image: "Image") -> "Image":
    # palette indices are not brightness
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def low_frequencies(pixels: "np.ndarray") -> "np.ndarray":
    """The 64 lowest frequencies of images minus their median; their signs are the hash.

    `pixels` is uint8 of shape (n, 32, 32); the result is float32 of shape (n, 64).
    """
    import numpy as np

    matrix = _cosines()
    low = (matrix @ pixels.astype(np.float32) @ matrix.T).reshape(-1, LOW * LOW)
    # without the first value, which is the mean brightness
    middle = LOW * LOW // 2 - 1
    return low - np.partition(low[:, 1:], middle, axis=1)[:, middle, None]


@cache
def _cosines() -> "np.ndarray":
    """The rows of the 8 lowest frequencies of the DCT-II, float32 of shape (8, 32)."""
    import numpy as np

    rows, columns = np.mgrid[0:LOW, 0:SIDE]
    return np.cos(np.pi * rows * (2 * columns + 1) / (2 * SIDE)).astype(np.float32)


def keep_darkest_eighth(dark: "np.ndarray") -> "np.ndarray":
    """Images, uint8 of shape (n, 32, 32), with all pixels clipped to the level of the darkest eighth."""
    import numpy as np

    return np.minimum(dark, np.partition(dark.reshape(len(dark), -1), DARKEST - 1)[:, DARKEST - 1, None, None])


def level_overexposed(one: "np.ndarray", other: "np.ndarray") -> tuple["np.ndarray", "np.ndarray"]:
    """Pairs of images, uint8 of shape (n, 32, 32), clipped to a level that brightening left intact in both."""
    import numpy as np

    unclipped = ((one < CLIPPED_FROM) & (other < CLIPPED_FROM)).sum(axis=(1, 2))
    clipped = np.flatnonzero(unclipped < SIDE * SIDE)
    one, other = one.copy(), other.copy()
    # the darkest pixels of both, whatever their values
    last = np.maximum((unclipped[clipped] * UNCLIPPED_SHARE).astype(int) - 1, 0)
    for images in (one, other):
        level = np.sort(images[clipped].reshape(len(clipped), SIDE * SIDE))[np.arange(len(clipped)), last]
        images[clipped] = np.minimum(images[clipped], level[:, None, None])
    return one, other


def detail_correlation(one: "np.ndarray", other: "np.ndarray") -> "np.ndarray":
    """Correlation of the detail within 4 x 4 squares for pairs of images; 0 where one of them is blank.

    Both are uint8 of shape (n, 32, 32); the result is float32 of shape (n,).
    """
    import numpy as np

    one, other = _detail(one), _detail(other)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.einsum("ij,ij->i", one, other) / np.where(norms > 0, norms, np.inf)


def _detail(images: "np.ndarray") -> "np.ndarray":
    import numpy as np

    across = SIDE // SQUARE
    squares = images.astype(np.float32).reshape(-1, across, SQUARE, across, SQUARE)
    # one axis after the other: a mean over both at once takes four times as long
    means = squares.sum(axis=2).sum(axis=3) / SQUARE**2
    return (squares - means[:, :, None, :, None]).reshape(len(images), SIDE * SIDE)
