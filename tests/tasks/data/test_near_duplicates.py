from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from tasks.data.image_files import look_at_images
from tasks.data.image_states import ImageState
from tasks.data.looks import Look
from tasks.data.near_duplicates import Pair, find_pairs, groups_of

REAL = Path(__file__).resolve().parents[4] / "shared" / "real" / "imagenes"
COPIES = {
    "encoded": lambda image: image,
    "smaller": lambda image: image.resize((image.width // 2, image.height // 2)),
    "larger": lambda image: image.resize((image.width * 3 // 2, image.height * 3 // 2)),
    "stretched": lambda image: image.resize((97, 113)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
}
OTHERS = {
    "mirrored": ImageOps.mirror,
    "flipped": ImageOps.flip,
    "turned": lambda image: image.rotate(90, expand=True),
}


def drawn(seed: int) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 200, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((90, 90), Image.Resampling.BICUBIC)


def pair(first: str, second: str) -> Pair:
    return Pair(first, second, identical=False, distance_bits=1, correlation=0.99)


@pytest.mark.parametrize("change", COPIES)
def test_a_copy_is_found(tmp_path, change):
    for number in range(20):
        drawn(number).save(tmp_path / f"{number}.png")
        COPIES[change](drawn(number)).save(tmp_path / f"{number}_copy.jpg", quality=60)
    names = [path.name for path in sorted(tmp_path.iterdir())]
    found = {frozenset((one.first, one.second)) for one in find_pairs(look_at_images(tmp_path, names, True))}
    assert found == {frozenset((f"{number}.png", f"{number}_copy.jpg")) for number in range(20)}


@pytest.mark.parametrize("change", OTHERS)
def test_a_flipped_or_turned_image_is_no_copy(tmp_path, change):
    for number in range(20):
        drawn(number).save(tmp_path / f"{number}.png")
        OTHERS[change](drawn(number)).save(tmp_path / f"{number}_other.png")
    names = [path.name for path in sorted(tmp_path.iterdir())]
    assert find_pairs(look_at_images(tmp_path, names, True)) == []


def test_equal_files_are_identical_and_paired_with_the_first_only(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        drawn(1).save(tmp_path / name)
    found = find_pairs(look_at_images(tmp_path, ["a.png", "b.png", "c.png"], True))
    assert [(one.first, one.second, one.identical) for one in found] == [
        ("a.png", "b.png", True),
        ("a.png", "c.png", True),
    ]


def test_blank_images_of_two_greys_are_not_the_same(tmp_path):
    for grey in (10, 200):
        Image.new("L", (50, 50), grey).save(tmp_path / f"{grey}.png")
    assert find_pairs(look_at_images(tmp_path, ["10.png", "200.png"], True)) == []


def test_broken_images_are_left_out():
    assert (
        find_pairs({"a": ImageState("image file missing"), "b": ImageState("image cannot be read", sha256="0")}) == []
    )


def test_no_pair_within_the_distance_is_missed():
    generator = np.random.default_rng(28)
    pixels = generator.integers(0, 240, 1024, dtype=np.uint8).tobytes()
    states = {}
    for number in range(300):
        phash = int(generator.integers(0, 1 << 63))
        near = phash
        for bit in generator.choice(64, 10, replace=False):
            near ^= 1 << int(bit)
        for name, value in ((f"{number}", phash), (f"{number} near", near)):
            states[name] = ImageState(sha256=name, look=Look(value, pixels))
    found = {frozenset((one.first, one.second)) for one in find_pairs(states)}
    assert found >= {frozenset((f"{number}", f"{number} near")) for number in range(300)}


def test_groups_join_what_is_the_same_by_way_of_others():
    groups = groups_of(["a", "b", "c", "d", "e"], [pair("d", "c"), pair("b", "d")])
    assert groups == {"a": "a", "b": "b", "c": "b", "d": "b", "e": "e"}


@pytest.mark.slow
def test_planted_copies_are_found_among_real_images_and_nothing_else(tmp_path):
    if not REAL.is_dir():
        pytest.skip("golden values not present")
    names = [path.relative_to(REAL).as_posix() for path in sorted(REAL.rglob("*")) if path.is_file()]
    planted = {}
    for name in names[::12]:
        image = Image.open(REAL / name).convert("RGB")
        for kind, change in {**COPIES, **OTHERS}.items():
            planted[f"{name.replace('/', '_')}_{kind}.jpg"] = (name, kind)
            change(image).save(tmp_path / f"{name.replace('/', '_')}_{kind}.jpg", quality=75)
    states = {**look_at_images(REAL, names, True), **look_at_images(tmp_path, planted, True)}
    origin = {name: name for name in names} | {copy: name for copy, (name, _) in planted.items()}
    pairs = find_pairs(states)
    false = [one for one in pairs if origin[one.first] != origin[one.second]]
    assert len(false) <= len(pairs) / 1000
    found = {second if first in names else first for one in pairs for first, second in [(one.first, one.second)]}
    wanted = {copy for copy, (_, kind) in planted.items() if kind in COPIES}
    assert len(wanted - found) <= len(wanted) / 200
    others = {copy for copy, (_, kind) in planted.items() if kind in OTHERS}
    direct = {frozenset((one.first, one.second)) for one in pairs}
    assert not [copy for copy in others if frozenset((copy, planted[copy][0])) in direct]
