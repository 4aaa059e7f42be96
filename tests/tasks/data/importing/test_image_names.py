"""Image paths: below their source, found in the images folder, and counted where missing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.other_formats import karpathy, rsvqa

from tasks.data.importing.image_names import ImageNames
from tasks.errors import DataError


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ("LR/0.tif", "LR/0.tif"),
        # the folder of the published instruction file
        ("LR/Train/0.tif", "LR/Train/0.tif"),
        # the folder holds the images of this source alone
        ("0.tif", "LR/0.tif"),
    ],
)
def test_existing_images_decide_the_path(tmp_path: Path, imported: Callable, there: str, found: str) -> None:
    touch(tmp_path / "images" / there)
    records, manifest = imported(rsvqa(tmp_path), source="LR", images=tmp_path / "images")
    assert records[0]["image"] == found
    assert manifest["missing_images"] == {"number": 1, "first": ["LR/1.tif"]}


def test_missing_images_are_named_and_their_records_kept(tmp_path: Path, imported: Callable) -> None:
    (tmp_path / "images").mkdir()
    records, manifest = imported(karpathy(tmp_path / "a.json"), images=tmp_path / "images")
    assert len(records) == 4
    assert manifest["missing_images"] == {"number": 2, "first": ["RSICD/airport_0.jpg", "RSICD/airport_1.jpg"]}
    assert "missing_images" not in imported(karpathy(tmp_path / "a.json"))[1]


def test_an_absolute_path_is_shortened_to_what_is_there(tmp_path: Path) -> None:
    touch(tmp_path / "LR" / "1.tif")
    names = ImageNames(None, tmp_path)
    assert names.path_of((f"{tmp_path}/LR/1.tif",)) == "LR/1.tif"
    assert names.path_of(("/somewhere/else/LR/1.tif",)) == "LR/1.tif"
    with pytest.raises(ValueError, match="absolute"):
        names.path_of(("/somewhere/else/LR/2.tif",))


def test_a_source_is_put_before_a_path_once() -> None:
    names = ImageNames("LR", None)
    assert names.path_of(("LR/Train/1.tif",)) == "LR/Train/1.tif"
    assert names.path_of(("./Train\\1.tif",)) == "LR/Train/1.tif"


@pytest.mark.parametrize("source", ["", "A/B", "../A", "A\\B", "A,B", "A B", "_A"])
def test_a_source_is_one_word(tmp_path: Path, imported: Callable, source: str) -> None:
    with pytest.raises(DataError, match="not the name of a source"):
        imported(rsvqa(tmp_path), source=source)


def test_a_missing_images_folder_is_an_error(tmp_path: Path, imported: Callable) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        imported(rsvqa(tmp_path), images=tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name", ["https://host/1.png", "s3://bucket/1.png", "data:image/png;base64,AA", "HTTP://h/1.png"]
)
def test_an_address_is_no_path(name: str) -> None:
    with pytest.raises(ValueError, match="image is a URL"):
        ImageNames("LR", None).path_of((name,))
