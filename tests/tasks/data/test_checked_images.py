"""A large image is read and decoded once, and again as soon as it, the checks or Pillow have changed."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.data import checked_images
from tasks.data.checked_images import LEAST_BYTES, check_images, known_state
from tasks.data.image_checks import OTHER_KIND, UNREADABLE, check_image
from tasks.files import SETTLED_NS


@pytest.fixture(autouse=True)
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # as if every file had been written long ago
    monkeypatch.setattr("tasks.files.SETTLED_NS", -SETTLED_NS)
    return tmp_path / "cache" / "rsvlm" / "images"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "large.png"
    write_noise(path, 28)
    assert path.stat().st_size >= LEAST_BYTES
    return path


def write_noise(path: Path, seed: int, side: int = 256) -> None:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images that are decoded, in order."""
    paths: list[str] = []

    def counted(path: str, with_hash: bool):
        paths.append(path)
        return check_image(path, with_hash)

    monkeypatch.setattr(checked_images, "check_image", counted)
    return paths


@pytest.mark.parametrize("with_hash", [False, True])
def test_a_large_image_is_decoded_once_under_all_its_names(image: Path, decoded: list[str], with_hash: bool) -> None:
    link = image.with_name("link.jpg")
    link.symlink_to(image)
    states = [known_state(str(path), with_hash) for path in (image, image, link)]
    assert decoded == [str(image)]
    assert states[:2] == [check_image(str(image), with_hash)] * 2
    assert states[2] == check_image(str(link), with_hash) and states[2].note == OTHER_KIND


def test_hash_pixels_are_computed_once_they_are_wanted(image: Path, decoded: list[str]) -> None:
    for with_hash in (False, True, False, True):
        assert known_state(str(image), with_hash) == check_image(str(image), with_hash)
    assert len(decoded) == 2


def test_a_changed_image_is_decoded_again(image: Path) -> None:
    known_state(str(image), with_hash=True)
    before = image.stat()
    with image.open("r+b") as file:
        file.seek(1000)
        file.write(bytes(50))
    # a program can put back the time of the content, but not that of the change
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert known_state(str(image), with_hash=True).fault == UNREADABLE


def test_images_are_decoded_again_with_other_checks(
    image: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known_state(str(image), with_hash=False)
    monkeypatch.setattr(checked_images, "checks_digest", lambda: "other")
    known_state(str(image), with_hash=False)
    assert len(decoded) == 2


def test_the_digest_of_the_checks_has_the_version_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    before = checked_images.checks_digest()
    monkeypatch.setattr("PIL.__version__", "0")
    checked_images.checks_digest.cache_clear()
    assert checked_images.checks_digest() != before
    checked_images.checks_digest.cache_clear()


def test_small_and_damaged_images_are_not_remembered(image: Path, tmp_path: Path, entries: Path) -> None:
    write_noise(tmp_path / "small.png", 29, side=32)
    (tmp_path / "cut.png").write_bytes(image.read_bytes()[:-1000])
    states = check_images(tmp_path, ["small.png", "cut.png", "missing.png"])
    assert states == {name: check_image(str(tmp_path / name), with_hash=False) for name in states}
    assert not entries.exists()


def test_an_image_that_changed_a_moment_ago_is_not_remembered(
    image: Path, entries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.files.SETTLED_NS", time.time_ns())
    known_state(str(image), with_hash=False)
    assert not entries.exists()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"file": 1, "checks": 2}'])
def test_a_damaged_entry_is_replaced(image: Path, entries: Path, decoded: list[str], content: str) -> None:
    known_state(str(image), with_hash=True)
    (entry,) = entries.iterdir()
    entry.write_text(content)
    for _ in range(2):
        assert known_state(str(image), with_hash=True) == check_image(str(image), with_hash=True)
    assert len(decoded) == 2
