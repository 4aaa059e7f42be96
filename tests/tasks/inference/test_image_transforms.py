"""What each transform does to the pixels of an image."""

import io
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from tasks.choices import Transform
from tasks.inference.image_transforms import read_test_image, transform_image

PIXELS = np.random.default_rng(28).integers(0, 256, (6, 9, 3), dtype=np.uint8)
IMAGE = Image.fromarray(PIXELS)
TURNED = {
    "rot90": np.rot90(PIXELS),
    "rot180": np.rot90(PIXELS, 2),
    "rot270": np.rot90(PIXELS, 3),
    "flip-horizontal": PIXELS[:, ::-1],
    "flip-vertical": PIXELS[::-1],
}


@pytest.mark.parametrize("name", list(TURNED))
def test_rotations_are_counterclockwise_and_flips_reverse_one_axis(name: Transform) -> None:
    assert np.array_equal(np.asarray(transform_image(IMAGE, name)), TURNED[name])


def test_jpeg_50_is_a_file_of_quality_50() -> None:
    file = io.BytesIO()
    IMAGE.save(file, "JPEG", quality=50)
    assert np.array_equal(np.asarray(transform_image(IMAGE, "jpeg-50")), np.asarray(Image.open(file)))


def test_half_resolution_keeps_the_size_and_loses_detail() -> None:
    columns = np.zeros((40, 61, 3), dtype=np.uint8)
    columns[:, ::2] = 255
    found = transform_image(Image.fromarray(columns), "half-resolution")
    assert found.size == (61, 40)
    # stripes of one pixel become grey
    assert np.asarray(found)[:, 4:-4].std() < 0.25 * columns.std()
    plain = Image.new("RGB", (1, 1), (3, 4, 5))
    assert transform_image(plain, "half-resolution").getpixel((0, 0)) == (3, 4, 5)


@pytest.mark.parametrize("name", get_args(Transform))
def test_every_transform_gives_another_rgb_image(name: Transform) -> None:
    found = transform_image(IMAGE, name)
    assert found.mode == "RGB" and sorted(found.size) == [6, 9]
    assert found.size != IMAGE.size or not np.array_equal(np.asarray(found), PIXELS)


def test_without_a_transform_the_image_is_unchanged(tmp_path) -> None:
    IMAGE.save(tmp_path / "a.png")
    assert np.array_equal(np.asarray(read_test_image(tmp_path, "a.png", None)), PIXELS)
    assert np.array_equal(np.asarray(read_test_image(tmp_path, "a.png", "rot180")), TURNED["rot180"])
