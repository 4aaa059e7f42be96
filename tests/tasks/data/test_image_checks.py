import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.files import encoded

from tasks.data.checked_images import check_images
from tasks.data.image_checks import (
    EMPTY,
    END_OF_JPEG,
    MISSING,
    OTHER_KIND,
    UNREADABLE,
    check_image,
    faults_in,
    images_digest,
)
from tasks.files import sha256_of
from tasks.model.image_limits import MAX_RATIO

KINDS = {kind: encoded(kind) for kind in ("JPEG", "PNG", "TIFF", "GIF", "BMP", "WEBP")}


JPEGS = {
    "baseline": encoded("JPEG"),
    "progressive": encoded("JPEG", progressive=True),
    "grey": encoded("JPEG", "L"),
    "CMYK": encoded("JPEG", "CMYK"),
    "whole colours": encoded("JPEG", subsampling=0),
    "stored as RGB": encoded("JPEG", keep_rgb=True),
    "with restarts": encoded("JPEG", restart_marker_blocks=4),
}


def damaged(data: bytes, generator: np.random.Generator) -> bytes:
    """A file that is cut, or in which one byte, three bytes or 50 consecutive bytes changed."""
    changed = bytearray(data)
    offset = int(generator.integers(2, len(data) - 60))
    kind = generator.integers(4)
    if kind == 0:
        return data[:offset]
    if kind == 1:
        changed[offset : offset + 50] = generator.bytes(50)
    for where in generator.integers(2, len(data) if kind == 2 else 700, 3 if kind == 2 else 1):
        changed[where] ^= int(generator.integers(1, 256))
    return bytes(changed)


def broken_for_pillow(data: bytes) -> bool:
    """Whether a full decode fails, or the end marker is missing from the second half."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except Exception:
        return True
    # damage to the size can make an extreme aspect ratio, which is refused
    return max(image.size) > MAX_RATIO * min(image.size) or data.rfind(END_OF_JPEG) < len(data) // 2


@pytest.mark.parametrize("kind", JPEGS)
def test_partial_decode_finds_the_same_damaged_jpegs_as_a_full_decode(tmp_path, kind):
    generator = np.random.default_rng(28)
    files = [damaged(JPEGS[kind], generator) for _ in range(80)]
    path = tmp_path / "a.jpg"
    found = {False: [], True: []}
    for data in files:
        path.write_bytes(data)
        for with_hash, faults in found.items():
            faults.append(check_image(str(path), with_hash).fault is not None)
    expected = [broken_for_pillow(data) for data in files]
    assert found == {False: expected, True: expected}
    # some damage is invisible to every decoder: otherwise "always broken" would pass
    assert 20 <= sum(expected) <= 60


@pytest.mark.parametrize("kind", KINDS)
def test_valid_image_is_described(tmp_path, kind):
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(KINDS[kind])
    state = check_image(str(path), with_hash=True)
    assert (state.fault, state.note, state.kind) == (None, None, kind)
    assert (state.width, state.height, state.size_bytes) == (80, 60, len(KINDS[kind]))
    assert state.sha256 == sha256_of(path) and state.hash_pixels is not None


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "I", "F", "CMYK"])
def test_every_image_mode_gets_hash_pixels(tmp_path, mode):
    values = (np.arange(60 * 80, dtype=np.float32).reshape(60, 80) * 13) % 60_000
    image = Image.fromarray(values)
    image = (
        Image.fromarray(values.astype(np.uint16))
        if mode == "I;16"
        else image.convert("L" if mode not in "FI" else mode)
    )
    image = image if mode in ("I;16", "I", "F") else image.convert(mode)
    image.save(tmp_path / "a.tif")
    state = check_image(str(tmp_path / "a.tif"), with_hash=True)
    assert state.fault is None and state.hash_pixels is not None


def test_format_that_does_not_match_the_name_is_noted(tmp_path):
    path = Path(tmp_path / "a.jpg")
    path.write_bytes(KINDS["PNG"])
    state = check_image(str(path), with_hash=False)
    assert (state.fault, state.note, state.kind) == (None, OTHER_KIND, "PNG")


def image_faults(images: Path, names: list[str]) -> dict[str, str]:
    return faults_in(check_images(images, names))


@pytest.fixture
def images(tmp_path) -> Path:
    for name in ("A/1.jpg", "A/2.png", "A/3.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 10), (9, 99, 199)).save(tmp_path / name)
    return tmp_path


def test_valid_images_have_no_fault(images):
    assert image_faults(images, ["A/1.jpg", "A/2.png", "A/3.tif"]) == {}


def test_missing_empty_and_unreadable_images_have_different_faults(images):
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


def test_many_images_are_checked_by_several_processes(images):
    for number in range(310):
        os.link(images / "A/1.jpg", images / f"A/many_{number}.jpg")
    (images / "A/many_7.jpg").unlink()
    (images / "A/many_9.jpg").unlink()
    (images / "A/many_9.jpg").write_bytes(b"broken")
    faults = image_faults(images, [f"A/many_{number}.jpg" for number in range(310)])
    assert faults == {"A/many_7.jpg": MISSING, "A/many_9.jpg": UNREADABLE}


def test_images_digest_changes_with_the_named_images_only(images):
    names = ["A/1.jpg", "A/2.png", "A/none.jpg"]
    before = images_digest(images, names)
    os.utime(images / "A/3.tif", ns=(1, 1))
    assert images_digest(images, reversed(names)) == before
    os.utime(images / "A/2.png", ns=(1, 1))
    changed = images_digest(images, names)
    Image.new("RGB", (5, 5)).save(images / "A/none.jpg")
    assert len({before, changed, images_digest(images, names)}) == 3
