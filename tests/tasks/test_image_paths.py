from pathlib import Path

import pytest

from tasks.errors import DataError
from tasks.image_paths import fault_of_image, image_file, image_key

HOSTILE = {
    "absolute": "/etc/passwd",
    "up": "../secret.tif",
    "up from inside": "LR/../../secret.tif",
    "up at the end": "LR/../..",
    "the folder itself": ".",
    "with a dot first": "./../secret.tif",
    "many slashes": "//server/share/secret.tif",
    "backslashes up": "..\\secret.tif",
    "mixed slashes up": "LR\\../..\\secret.tif",
    "an absolute path of Windows": "\\secret.tif",
    "a server of Windows": "\\\\server\\share\\secret.tif",
    "a drive": "C:\\secret.tif",
    "a drive with slashes": "c:/secret.tif",
    "a drive's own folder": "C:secret.tif",
    "NUL": "LR/1.tif\0.png",
    "half a character": "LR/\ud800.tif",
    "endless": "LR/" + 5000 * "x" + ".tif",
    "endless folders": 3000 * "a/" + "1.tif",
}
HARMLESS = {
    "plain": "LR/Train/1.tif",
    "tidied": "./LR//Train/./1.tif",
    "wandering inside": "LR/x/../Train/1.tif",
    "backslashes inside": "LR\\Train\\1.tif",
    "dots in a name": "LR/Train/..1.tif",
    "a tilde": "~/1.tif",
    "an address": "file:///etc/passwd",
}


@pytest.mark.parametrize("image", HOSTILE.values(), ids=HOSTILE)
def test_image_file_refuses_a_path_out_of_the_folder(image: str) -> None:
    assert fault_of_image(image)
    with pytest.raises(DataError, match=r"^A record names .*: give it a path under images, or drop it"):
        image_file(Path("images"), image)


@pytest.mark.parametrize("image", HARMLESS.values(), ids=HARMLESS)
def test_image_file_accepts_a_path_inside_the_folder(image: str) -> None:
    assert fault_of_image(image) is None
    assert image_file(Path("images"), image) == Path("images") / image_key(image)


def test_image_file_follows_links_but_not_parent_folders(tmp_path: Path) -> None:
    (tmp_path / "disk" / "Train").mkdir(parents=True)
    (tmp_path / "disk" / "Train" / "1.tif").write_text("an image")
    (tmp_path / "disk" / "secret.tif").write_text("no image")
    images = tmp_path / "images"
    images.mkdir()
    (images / "LR").symlink_to(tmp_path / "disk" / "Train")
    assert image_file(images, "LR/1.tif").read_text() == "an image"
    # what the system would take for the link's own neighbour
    assert (images / "LR/../secret.tif").exists()
    assert not image_file(images, "LR/../secret.tif").exists()
