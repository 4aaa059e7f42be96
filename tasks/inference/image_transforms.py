"""Changes to a test image under which answers should stay the same, and the one way to read a test image."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.choices import Transform
from tasks.image_paths import image_file
from tasks.model.images import read_image

if TYPE_CHECKING:
    from PIL.Image import Image

JPEG_QUALITY = 50


def read_test_image(images: Path, name: str, transform: Transform | None) -> "Image":
    """Read an image of a test set as 8-bit RGB and transform it; raises DataError as `read_image` does."""
    image = read_image(image_file(images, name))
    return image if transform is None else transform_image(image, transform)


def transform_image(image: "Image", transform: Transform) -> "Image":
    """An RGB image rotated counterclockwise, flipped, compressed, or scaled down by 2 and up again."""
    from PIL.Image import Transpose

    transposes = {
        "rot90": Transpose.ROTATE_90,
        "rot180": Transpose.ROTATE_180,
        "rot270": Transpose.ROTATE_270,
        "flip-horizontal": Transpose.FLIP_LEFT_RIGHT,
        "flip-vertical": Transpose.FLIP_TOP_BOTTOM,
    }
    if transform in transposes:
        return image.transpose(transposes[transform])
    return _compressed(image) if transform == "jpeg-50" else _half_resolution(image)


def _compressed(image: "Image") -> "Image":
    from PIL import Image

    file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY)
    return Image.open(file, formats=["JPEG"]).convert("RGB")


def _half_resolution(image: "Image") -> "Image":
    from PIL.Image import Resampling

    half = (max(1, image.width // 2), max(1, image.height // 2))
    return image.resize(half, Resampling.BICUBIC).resize(image.size, Resampling.BICUBIC)
