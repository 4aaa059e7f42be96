"""Pad, scale and crop an image exactly as its processor does, without the memory of the padded square.

Pillow scales horizontally, then vertically, each row and column independently: so strips of rows, then of columns, give
the same values.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from transformers import BaseImageProcessor

# pixels converted or scaled at once: a float64 copy of a whole image would take eight times its memory
STRIP_PIXELS = 1 << 20
COLUMNS = 16


@dataclass(frozen=True)
class Scaling:
    """Pad an image to `frame` (width, height), scale it to `target`, and crop the central square of `side` pixels."""

    frame: tuple[int, int]
    target: tuple[int, int]
    side: int
    colour: tuple[int, ...]
    resample: int


def scale_for(image: "Image", image_processor: "BaseImageProcessor") -> "Image":
    """Pad, scale and crop an RGB image as a CLIP processor does, so that only normalising is left to the processor.

    Returns the image unchanged if the processor uses other steps.
    """
    scaling = _scaling_of(image.size, image_processor)
    return image if scaling is None else _scale_down(_scale_across(image, scaling), scaling)


def _scaling_of(size: tuple[int, int], image_processor: "BaseImageProcessor") -> Scaling | None:
    side = image_processor.size.get("shortest_edge")
    crop = image_processor.crop_size if image_processor.do_center_crop else None
    if not (side and image_processor.do_resize and crop == {"height": side, "width": side}):
        return None
    colour = tuple(int(mean * 255) for mean in image_processor.image_mean)
    if image_processor.do_pad:
        return Scaling((max(size), max(size)), (side, side), side, colour, image_processor.resample)
    width, height = size
    target = (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
    return Scaling(size, target, side, colour, image_processor.resample)


def _scale_across(image: "Image", scaling: Scaling) -> "Image":
    from PIL import Image

    width, target = scaling.frame[0], scaling.target[0]
    left = (target - scaling.side) // 2
    scaled = Image.new("RGB", (scaling.side, image.height))
    rows = max(1, STRIP_PIXELS // max(width, target))
    for top in range(0, image.height, rows):
        bottom = min(image.height, top + rows)
        strip = _padded(image.crop((0, top, image.width, bottom)), (width, bottom - top), scaling.colour)
        strip = strip.resize((target, bottom - top), scaling.resample)
        scaled.paste(strip.crop((left, 0, left + scaling.side, bottom - top)), (0, top))
    return scaled


def _scale_down(image: "Image", scaling: Scaling) -> "Image":
    from PIL import Image

    height, target = scaling.frame[1], scaling.target[1]
    top = (target - scaling.side) // 2
    scaled = Image.new("RGB", (scaling.side, scaling.side))
    for left in range(0, scaling.side, COLUMNS):
        right = min(scaling.side, left + COLUMNS)
        strip = _padded(image.crop((left, 0, right, image.height)), (right - left, height), scaling.colour)
        strip = strip.resize((right - left, target), scaling.resample)
        scaled.paste(strip.crop((0, top, right - left, top + scaling.side)), (left, 0))
    return scaled


def _padded(image: "Image", size: tuple[int, int], colour: tuple[int, ...]) -> "Image":
    from PIL import Image

    if image.size == size:
        return image
    padded = Image.new("RGB", size, colour)
    padded.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return padded
