"""The size of an image from its header; apart from `images`, whose code identifies cached answers."""

from pathlib import Path

from tasks.model.image_limits import opened_file, opened_image
from tasks.model.images import ORIENTATION, require_image

# values of ORIENTATION that exchange width and height
SIDEWAYS = (5, 6, 7, 8)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels of an image as `read_image` returns it; raises DataError as require_image."""
    require_image(path)
    with opened_file(path) as file, opened_image(file, path) as image:
        width, height = image.size
        return (height, width) if image.getexif().get(ORIENTATION, 1) in SIDEWAYS else (width, height)
