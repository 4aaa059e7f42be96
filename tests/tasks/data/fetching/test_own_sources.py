"""Fetch the images of a source of the user's own: from a folder, an archive or a URL."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from support.faulty_server import FaultyServer

from tasks.data.fetching.all_sources import fetch_all, require_fetchable
from tasks.data.fetching.http_file import RetryPolicy, ignore_progress
from tasks.data.fetching.request import FetchRequest, request_of
from tasks.errors import ConfigError, DataError
from tasks.settings import DataConfig

IMAGES = ("FLOOD/a/1.png", "FLOOD/b/1.png", "FLOOD/2.JPG")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data folder with records of FLOOD and without images."""
    turns = [{"from": "human", "value": "?"}, {"from": "gpt", "value": "yes"}]
    (tmp_path / "data").mkdir()
    rows = [{"id": image, "image": image, "conversations": turns} for image in IMAGES]
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(rows))
    return tmp_path / "data"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for image in IMAGES:
        path = tmp_path / "given" / image.removeprefix("FLOOD/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(image)
    (tmp_path / "given" / "notes.txt").write_text("no image")
    return tmp_path / "given"


def packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in folder.rglob("*.*"):
            archive.write(path, f"flood_v1/{path.relative_to(folder)}")
    return buffer.getvalue()


def request(root: Path, **source: Any) -> FetchRequest:
    config = DataConfig(custom_sources=({"name": "FLOOD", **source},), sources=("FLOOD",))
    return request_of(root, config).model_copy(
        update={"retry_policy": RetryPolicy(failures=1, unreachable=0, connect_s=2, stall_s=1)}
    )


def laid_out(root: Path) -> dict[str, str]:
    images = root / "imagenes"
    return {path.relative_to(images).as_posix(): path.read_text() for path in images.rglob("*.*")}


def fetch(given: FetchRequest) -> Any:
    [found] = fetch_all(["FLOOD"], given, lambda name: ignore_progress)
    return found


EXPECTED = {image: image for image in IMAGES}


def test_images_come_from_a_folder_which_stays(root: Path, folder: Path) -> None:
    found = fetch(request(root, images=str(folder)))
    assert (found.images, found.missing, found.by_hand) == (3, 0, None)
    assert laid_out(root) == EXPECTED and len(list(folder.rglob("*.*"))) == 4


def test_images_come_from_an_archive_and_are_fetched_once(root: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "flood.zip").write_bytes(packed(folder))
    given = request(root, images=[str(tmp_path / "flood.zip")])
    assert fetch(given).missing == 0 and laid_out(root) == EXPECTED
    (tmp_path / "flood.zip").unlink()
    assert fetch(given).missing == 0


def test_images_come_from_a_url_with_a_secret(
    root: Path, folder: Path, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add("/flood.zip?token=hidden", packed(folder))
    server.add("/flood.zip", packed(folder))
    monkeypatch.setenv("FLOOD_TOKEN", "hidden")
    address = f"{server.url('/flood.zip')}?token=${{FLOOD_TOKEN}}"
    assert fetch(request(root, images=address)).missing == 0 and laid_out(root) == EXPECTED
    assert "hidden" not in (root / "downloads" / "FLOOD.json").read_text()


def test_images_are_laid_out_in_the_given_folder(root: Path, folder: Path) -> None:
    rows = json.loads((root / "dataset.json").read_text())
    for row in rows:
        row["image"] = row["image"].replace("FLOOD/", "FLOOD/tiles/")
    (root / "dataset.json").write_text(json.dumps(rows))
    assert fetch(request(root, images=str(folder), folder="FLOOD/tiles")).missing == 0
    assert set(laid_out(root)) == {image.replace("FLOOD/", "FLOOD/tiles/") for image in IMAGES}


def test_an_archive_of_the_options_replaces_that_of_the_source(root: Path, folder: Path, tmp_path: Path) -> None:
    given = request(root, images=str(tmp_path / "none.zip")).model_copy(update={"archives": {"FLOOD": str(folder)}})
    assert fetch(given).missing == 0 and laid_out(root) == EXPECTED


def test_a_source_without_an_origin_is_asked_for(root: Path) -> None:
    found = fetch(request(root))
    assert found.by_hand.startswith("FLOOD: download the images of FLOOD, and give the path of the archive or folder")


def test_a_missing_path_and_an_unknown_source_are_refused_before_anything_is_fetched(
    root: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"none\.zip does not exist: give the path"):
        require_fetchable(["FLOOD"], request(root, images=str(tmp_path / "none.zip")))
    with pytest.raises(ConfigError, match="FLOD is not a known source: did you mean FLOOD"):
        require_fetchable(["FLOD"], request(root))
    assert not (root / "imagenes").exists()


def test_an_archive_without_images_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no images of FLOOD \(FLOOD\): give the files from the images of FLOOD"):
        fetch(request(root, images=str(tmp_path / "empty")))
