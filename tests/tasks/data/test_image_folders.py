"""Folders elsewhere instead of imagenes/SOURCE."""

from pathlib import Path

import pytest

from tasks.data.image_folders import linked_images, located_image, prefixes_of, relative_image, require_folders
from tasks.errors import DataError


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """imagenes/ with the sources A and B, and a folder elsewhere."""
    for name in ("imagenes/A/1.png", "imagenes/B/1.png", "elsewhere/sub/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(name)
    return tmp_path / "imagenes", tmp_path / "elsewhere"


@pytest.mark.parametrize(
    ("image", "relative"),
    [
        ("/data/LR/Train/1.tif", "LR/Train/1.tif"),
        ("/data/LR//Train/./1.tif", "LR/Train/1.tif"),
        ("/data/LR/HR/1.tif", "HR/1.tif"),
        ("/data/LR/../secret.tif", "/data/LR/../secret.tif"),
        ("/data/LRX/1.tif", "/data/LRX/1.tif"),
        ("/data/LR", "/data/LR"),
        ("LR/Train/1.tif", "LR/Train/1.tif"),
        ("1.tif", "mine/1.tif"),
        ("..", ".."),
    ],
)
def test_absolute_paths_inside_a_folder_become_paths_of_its_source(image: str, relative: str) -> None:
    roots = {"LR": Path("/data/LR"), "HR": Path("/data/LR/HR/"), "mine": Path("/flat")}
    assert relative_image(image, prefixes_of(roots), "mine") == relative


def test_names_without_a_folder_stay_where_their_source_has_no_folder_elsewhere() -> None:
    assert relative_image("1.tif", prefixes_of({"LR": Path("/data/LR")}), "unnamed") == "1.tif"


def test_a_path_through_a_link_to_the_folder_is_inside(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folders[1])
    image = f"{folders[1]}/sub/1.png"
    assert relative_image(image, prefixes_of({"A": tmp_path / "link"}), "unnamed") == "A/sub/1.png"


def test_the_view_has_the_folder_elsewhere_and_all_others(folders: tuple[Path, Path], tmp_path: Path) -> None:
    images, elsewhere = folders
    roots = {"A": elsewhere, "C": elsewhere}
    view = linked_images(images, roots, tmp_path / "views")
    assert (view / "A/sub/1.png").read_text() == (view / "C/sub/1.png").read_text() == "elsewhere/sub/1.png"
    assert (view / "B/1.png").read_text() == "imagenes/B/1.png" and not (view / "A/1.png").exists()
    for image in ("A/sub/1.png", "B/1.png"):
        assert located_image(images, roots, image).samefile(view / image)
    assert linked_images(images, roots, tmp_path / "views") == view
    assert list((tmp_path / "views").iterdir()) == [view]


def test_a_new_folder_of_images_gives_a_new_view(folders: tuple[Path, Path], tmp_path: Path) -> None:
    images, elsewhere = folders
    before = linked_images(images, {"A": elsewhere}, tmp_path / "views")
    (images / "D").mkdir()
    after = linked_images(images, {"A": elsewhere}, tmp_path / "views")
    assert (after / "D").is_dir() and before.is_dir() and before != after


def test_without_folders_elsewhere_there_is_no_view(folders: tuple[Path, Path], tmp_path: Path) -> None:
    assert linked_images(folders[0], {}, tmp_path / "views") == folders[0] and not (tmp_path / "views").exists()


def test_without_imagenes_the_view_has_the_folders_elsewhere(folders: tuple[Path, Path], tmp_path: Path) -> None:
    view = linked_images(tmp_path / "none", {"A": folders[1]}, tmp_path / "views")
    assert [path.name for path in view.iterdir()] == ["A"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^data\.image_root\.LR is .*none, which is not a folder: give the folder"):
        require_folders({"LR": tmp_path / "none"})
    with pytest.raises(DataError, match="is not a folder"):
        linked_images(tmp_path, {"LR": tmp_path / "none"}, tmp_path / "views")
    assert not (tmp_path / "views").exists()
