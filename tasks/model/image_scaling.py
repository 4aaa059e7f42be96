"""What an image processor makes of an image, to the bit, without the square that it pads or the length that it crops.

Pillow scales across and then down, each row and each column by itself: so some rows at a time do, and some columns.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

STRIP_PIXELS = 1 << 20
COLUMNS = 16


@dataclass(frozen=True)
class Scaling:
    """An image is framed in a colour, scaled, and cut to the middle, `side` pixels square."""

    frame: tuple[int, int]
    target: tuple[int, int]
    side: int
    colour: tuple[int, ...]
    resample: int


def scale_for(image: "Image", image_processor: Any) -> "Image":
    """An RGB image as a CLIP's processor pads, scales and crops it, so that only normalising is left to it.

    Returned as it is where the processor does something else than that.
    """
    scaling = _scaling_of(image.size, image_processor)
    return image if scaling is None else _scale_down(_scale_across(image, scaling), scaling)


def _scaling_of(size: tuple[int, int], image_processor: Any) -> Scaling | None:
    side = image_processor.size.get("shortest_edge")
    cut = image_processor.crop_size if image_processor.do_center_crop else None
    if not (side and image_processor.do_resize and cut == {"height": side, "width": side}):
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
        strip = _framed(image.crop((0, top, image.width, bottom)), (width, bottom - top), scaling.colour)
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
        strip = _framed(image.crop((left, 0, right, image.height)), (right - left, height), scaling.colour)
        strip = strip.resize((right - left, target), scaling.resample)
        scaled.paste(strip.crop((0, top, right - left, top + scaling.side)), (left, 0))
    return scaled


def _framed(image: "Image", size: tuple[int, int], colour: tuple[int, ...]) -> "Image":
    from PIL import Image

    if image.size == size:
        return image
    framed = Image.new("RGB", size, colour)
    framed.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return framed
