from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from support.locations import REAL

from tasks.data.checked_images import check_images
from tasks.data.duplicates.near_duplicates import Pair, find_pairs, group_leaders
from tasks.data.image_checks import ImageState

REAL_IMAGENES = REAL / "imagenes"
COPIES = {
    "encoded": lambda image: image,
    "smaller": lambda image: image.resize((image.width // 2, image.height // 2)),
    "larger": lambda image: image.resize((image.width * 3 // 2, image.height * 3 // 2)),
    "stretched": lambda image: image.resize((97, 113)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "much brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.6),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.4),
}
OTHERS = {
    "mirrored": ImageOps.mirror,
    "flipped": ImageOps.flip,
    "turned": lambda image: image.rotate(90, expand=True),
}


def drawn(seed: int) -> Image.Image:
    generator = np.random.default_rng(seed)
    values = generator.integers(60, 230, (6, 6, 3)).repeat(15, 0).repeat(15, 1)
    detail = generator.integers(-40, 40, (30, 30, 1)).repeat(3, 0).repeat(3, 1)
    return Image.fromarray(np.clip(values + detail, 0, 255).astype(np.uint8))


def pair(first: str, second: str) -> Pair:
    return Pair(first, second, identical=False, distance_bits=1, correlation=0.99)


@pytest.mark.parametrize("change", COPIES)
def test_copy_is_found(tmp_path, change):
    for number in range(20):
        drawn(number).save(tmp_path / f"{number}.png")
        COPIES[change](drawn(number)).save(tmp_path / f"{number}_copy.jpg", quality=60)
    names = [path.name for path in sorted(tmp_path.iterdir())]
    found = {frozenset((one.first, one.second)) for one in find_pairs(check_images(tmp_path, names, True))}
    assert found == {frozenset((f"{number}.png", f"{number}_copy.jpg")) for number in range(20)}


@pytest.mark.parametrize("change", OTHERS)
def test_flipped_or_rotated_image_is_not_a_copy(tmp_path, change):
    for number in range(20):
        drawn(number).save(tmp_path / f"{number}.png")
        OTHERS[change](drawn(number)).save(tmp_path / f"{number}_other.png")
    names = [path.name for path in sorted(tmp_path.iterdir())]
    assert find_pairs(check_images(tmp_path, names, True)) == []


def test_equal_files_are_paired_with_the_first_only(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        drawn(1).save(tmp_path / name)
    found = find_pairs(check_images(tmp_path, ["a.png", "b.png", "c.png"], True))
    assert [(one.first, one.second, one.identical) for one in found] == [
        ("a.png", "b.png", True),
        ("a.png", "c.png", True),
    ]


def test_blank_images_of_two_greys_are_not_duplicates(tmp_path):
    for grey in (10, 200):
        Image.new("L", (50, 50), grey).save(tmp_path / f"{grey}.png")
    assert find_pairs(check_images(tmp_path, ["10.png", "200.png"], True)) == []


def test_broken_images_are_ignored():
    assert (
        find_pairs({"a": ImageState("image file missing"), "b": ImageState("image cannot be read", sha256="0")}) == []
    )


def test_same_outline_with_other_detail_is_not_a_duplicate(tmp_path):
    for number in range(20):
        outline = np.random.default_rng(number).integers(60, 200, (4, 4)).repeat(24, 0).repeat(24, 1)
        for name in "ab":
            detail = np.random.default_rng([number, ord(name)]).integers(-25, 25, (32, 32)).repeat(3, 0).repeat(3, 1)
            Image.fromarray((outline + detail).astype(np.uint8)).save(tmp_path / f"{number}{name}.png")
    names = [path.name for path in sorted(tmp_path.iterdir())]
    assert find_pairs(check_images(tmp_path, names, True)) == []


def test_copy_is_found_though_brightening_clipped_most_pixels(tmp_path):
    for number in range(20):
        bright = Image.fromarray((120 + np.asarray(drawn(number)) // 2).astype(np.uint8))
        bright.save(tmp_path / f"{number}.png")
        white = ImageEnhance.Brightness(bright).enhance(1.6)
        assert np.mean(np.asarray(white).min(axis=2) == 255) > 0.5
        white.save(tmp_path / f"{number}_copy.jpg", quality=80)
    names = [path.name for path in sorted(tmp_path.iterdir())]
    found = {frozenset((one.first, one.second)) for one in find_pairs(check_images(tmp_path, names, True))}
    assert found == {frozenset((f"{number}.png", f"{number}_copy.jpg")) for number in range(20)}


def test_groups_join_indirect_duplicates():
    groups = group_leaders(["a", "b", "c", "d", "e"], [pair("d", "c"), pair("b", "d")])
    assert groups == {"a": "a", "b": "b", "c": "b", "d": "b", "e": "e"}


def scaled(share: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.resize((round(image.width * share), round(image.height * share)))


def lit(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: ImageEnhance.Brightness(image).enhance(factor)


PLANTED: dict[str, tuple[Callable[[Image.Image], Image.Image], int]] = {
    **{f"quality {quality}": (lambda image: image, quality) for quality in (50, 70, 90)},
    **{f"{share} times the size": (scaled(share), 85) for share in (0.5, 0.75, 1.5)},
    **{f"{factor} times as bright": (lit(factor), 85) for factor in (0.4, 0.7, 1.2, 1.4, 1.6)},
}


@pytest.mark.slow
def test_exactly_the_planted_copies_are_found_among_real_images(tmp_path):
    if not REAL_IMAGENES.is_dir():
        pytest.skip("golden values not present")
    names = [path.relative_to(REAL_IMAGENES).as_posix() for path in sorted(REAL_IMAGENES.rglob("*")) if path.is_file()]
    origin = {name: name for name in names}
    wanted = set()
    for name in names[::36]:
        image = Image.open(REAL_IMAGENES / name).convert("RGB")
        others = {kind: (change, 85) for kind, change in OTHERS.items()}
        for kind, (change, quality) in {**PLANTED, **others}.items():
            copy = f"{name.replace('/', '_')} {kind}.jpg"
            change(image).save(tmp_path / copy, quality=quality)
            # a flipped image is not a duplicate
            origin[copy] = f"{name} {kind}" if kind in OTHERS else name
            if kind in PLANTED:
                wanted.add(frozenset((name, copy)))
    copies = sorted(set(origin) - set(names))
    states = {**check_images(REAL_IMAGENES, names, True), **check_images(tmp_path, copies, True)}
    pairs = find_pairs(states)
    assert len(wanted) == 66 * len(PLANTED)
    assert wanted - {frozenset((one.first, one.second)) for one in pairs} == set()
    false = [one for one in pairs if origin[one.first] != origin[one.second]]
    assert len(false) <= len(pairs) / 1000
    assert not [one for one in false if one.first in names and one.second in names]
