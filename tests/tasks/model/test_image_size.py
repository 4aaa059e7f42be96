"""The size of an image is that of the image as it is read, and is found from its header."""

from pathlib import Path

import pytest
from PIL import Image

from tasks.errors import DataError
from tasks.model.image_size import image_size
from tasks.model.images import ORIENTATION, read_image


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_that_of_the_upright_image(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.new("RGB", (30, 20)).save(tmp_path / "image.jpg", exif=exif)
    assert image_size(tmp_path / "image.jpg") == read_image(tmp_path / "image.jpg").size


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match="not a readable image"):
        image_size(tmp_path / "image.jpg")
