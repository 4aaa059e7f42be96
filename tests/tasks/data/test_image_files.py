import os
from pathlib import Path

import pytest
from PIL import Image

from tasks.data.image_checks import EMPTY, MISSING, UNREADABLE
from tasks.data.image_files import faults_in, images_digest, look_at_images


def image_faults(images: Path, names: list[str]) -> dict[str, str]:
    return faults_in(look_at_images(images, names))


@pytest.fixture
def images(tmp_path) -> Path:
    for name in ("A/1.jpg", "A/2.png", "A/3.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 10), (9, 99, 199)).save(tmp_path / name)
    return tmp_path


def test_whole_images_have_no_fault(images):
    assert image_faults(images, ["A/1.jpg", "A/2.png", "A/3.tif"]) == {}


def test_missing_and_broken_images_are_told_apart(images):
    whole = (images / "A/1.jpg").read_bytes()
    (images / "A/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "A/text.jpg").write_text("no image")
    (images / "A/empty.png").touch()
    names = ["A/1.jpg", "A/cut.jpg", "A/text.jpg", "A/empty.png", "A/none.jpg", "A"]
    assert image_faults(images, names) == {
        "A/cut.jpg": UNREADABLE,
        "A/text.jpg": UNREADABLE,
        "A/empty.png": EMPTY,
        "A/none.jpg": MISSING,
        "A": MISSING,
    }


def test_many_images_are_decoded_by_several_processes(images):
    for number in range(310):
        os.link(images / "A/1.jpg", images / f"A/many_{number}.jpg")
    (images / "A/many_7.jpg").unlink()
    (images / "A/many_9.jpg").unlink()
    (images / "A/many_9.jpg").write_bytes(b"broken")
    faults = image_faults(images, [f"A/many_{number}.jpg" for number in range(310)])
    assert faults == {"A/many_7.jpg": MISSING, "A/many_9.jpg": UNREADABLE}


def test_the_digest_changes_with_a_file_and_only_with_one_that_is_asked_for(images):
    names = ["A/1.jpg", "A/2.png", "A/none.jpg"]
    before = images_digest(images, names)
    os.utime(images / "A/3.tif", ns=(1, 1))
    assert images_digest(images, reversed(names)) == before
    os.utime(images / "A/2.png", ns=(1, 1))
    changed = images_digest(images, names)
    Image.new("RGB", (5, 5)).save(images / "A/none.jpg")
    assert len({before, changed, images_digest(images, names)}) == 3
