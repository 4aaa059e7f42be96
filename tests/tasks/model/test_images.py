"""Pixels equal those of CLIP and LLaVA, and are correct where the reference is wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.locations import ORACLE

from tasks.errors import DataError
from tasks.model.images import pixels_of, read_image
from tasks.model.loading import load_processor

SOURCES = ORACLE / "images" / "src"
# 16 bits clipped to white, EXIF rotation ignored, 3x3 read channels first, 1x1 not read at all
WRONG_IN_REFERENCE = ("13_", "14_", "15_", "19_", "90_", "91_", "92_", "93_", "94_")
MEAN_COLOUR = (122, 116, 104)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def right_in_reference() -> list[Path]:
    return [path for path in sorted(SOURCES.glob("*")) if not path.name.startswith(WRONG_IN_REFERENCE)]


@pytest.fixture(scope="module")
def processor(tiny_model_dir: Path) -> Any:
    return load_processor(tiny_model_dir).image_processor


def colours(pixels: np.ndarray, row: int, column: int) -> list[int]:
    """The 8-bit colour behind normalised pixels."""
    return [round(float(v * s + m) * 255) for v, s, m in zip(pixels[:, row, column], CLIP_STD, CLIP_MEAN, strict=True)]


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(ORACLE / "images.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize(("pads", "suffix"), [(True, ""), (False, ":square")], ids=["padded", "square"])
@pytest.mark.parametrize("path", right_in_reference(), ids=lambda path: path.name)
def test_pixels_equal_the_reference(path: Path, pads: bool, suffix: str, golden: dict[str, np.ndarray]) -> None:
    from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

    processor = LlavaImageProcessorPil.from_pretrained(ORACLE / "models" / "tiny-clip-vit-56", do_pad=pads)
    pixels = pixels_of(read_image(path), processor)
    if path.name + suffix not in golden:
        assert path.name == "18_rgb_300x1.png", "the reference takes a row of pixels for channels"
        assert pixels.shape == (3, 56, 56)
        return
    np.testing.assert_allclose(pixels, golden[path.name + suffix], atol=2e-3)


def test_golden_values_are_there() -> None:
    if not ORACLE.is_dir():
        pytest.skip("golden values not present")
    assert len(right_in_reference()) == 18


def test_a_wide_image_is_padded_with_the_mean_colour(processor: Any) -> None:
    pixels = pixels_of(Image.new("RGB", (64, 32), (255, 0, 0)), processor)
    assert pixels.shape == (3, 64, 64)
    assert pixels.dtype == np.float32
    assert colours(pixels, 32, 32) == [255, 0, 0]
    for row in (2, 61):
        assert np.abs(np.subtract(colours(pixels, row, 32), MEAN_COLOUR)).max() <= 1


def test_a_16_bit_image_is_scaled_to_its_range(tmp_path: Path) -> None:
    values = np.linspace(1000, 40000, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    seen = np.asarray(read_image(tmp_path / "deep.png"))
    assert (seen.min(), seen.max()) == (0, 255)
    assert len(np.unique(seen)) == 256


def test_a_float_image_is_scaled_to_its_range(tmp_path: Path) -> None:
    Image.fromarray(np.linspace(-1, 1, 64 * 64, dtype=np.float32).reshape(64, 64)).save(tmp_path / "float.tif")
    assert len(np.unique(np.asarray(read_image(tmp_path / "float.tif")))) == 256


def test_nan_pixels_become_dark_and_do_not_affect_the_range(tmp_path: Path) -> None:
    values = np.linspace(-1, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    values[0, :3] = np.nan, np.inf, -np.inf
    Image.fromarray(values).save(tmp_path / "gaps.tif")
    shades = np.asarray(read_image(tmp_path / "gaps.tif"))
    assert len(np.unique(shades)) == 256
    assert not shades[0, :3].any()


def test_an_image_of_only_nan_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), np.nan, dtype=np.float32)).save(tmp_path / "nothing.tif")
    with pytest.raises(DataError, match=r"nothing\.tif is not a readable image \(no pixel holds a number\)"):
        read_image(tmp_path / "nothing.tif")


def test_an_image_is_rotated_as_its_exif_says(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 20), (255, 0, 0))
    image.paste((0, 0, 255), (20, 0, 40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    seen = read_image(tmp_path / "turned.png")
    assert seen.size == (20, 40)
    assert (seen.getpixel((10, 2)), seen.getpixel((10, 38))) == ((255, 0, 0), (0, 0, 255))


@pytest.mark.parametrize("size", [(3, 3), (1, 1), (3, 2), (1, 3)])
def test_a_tiny_image_keeps_its_colours(processor: Any, size: tuple[int, int]) -> None:
    pixels = pixels_of(Image.new("RGB", size, (255, 0, 0)), processor)
    # the padding of an image of three pixels reaches into its middle by a shade or two
    assert np.abs(np.subtract(colours(pixels, 32, 32), (255, 0, 0))).max() <= 2


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"not an image at all"])
def test_a_file_that_is_not_an_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.jpg is not a readable image"):
        read_image(tmp_path / "broken.jpg")


def test_a_truncated_image_is_refused(tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 50).save(tmp_path / "whole.jpg")
    (tmp_path / "half.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:700])
    with pytest.raises(DataError, match=r"half\.jpg is not a readable image"):
        read_image(tmp_path / "half.jpg")


def test_a_missing_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jpg does not exist"):
        read_image(tmp_path / "none.jpg")


def test_an_image_with_too_many_pixels_is_refused(tmp_path: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "huge.png")
    with pytest.raises(DataError, match=r"huge\.png"):
        read_image(tmp_path / "huge.png")
