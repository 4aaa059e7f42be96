import zipfile
from pathlib import Path

import pytest

from tasks.data.archives.entries import ArchiveLimits
from tasks.data.fetching.layout import LaidOutCounts, lay_out, wanted_names
from tasks.errors import DataError
from tasks.sources import SOURCES

NWPU, RSICD, LR = SOURCES["NWPU"], SOURCES["RSICD"], SOURCES["LR"]


def put(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name.rsplit('/')[-1]}")
    return folder


def zipped(folder: Path, path: Path, *extra: Path) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for found in sorted(folder.rglob("*")):
            if found.is_file():
                file.write(found, found.relative_to(folder))
        for other in extra:
            file.write(other, f"deep/{other.name}")
    return path


def laid(images: Path) -> list[str]:
    return sorted(path.relative_to(images).as_posix() for path in images.rglob("*") if path.is_file())


@pytest.mark.parametrize("nesting", ["", "NWPU-RESISC45/", "a/b/NWPU-RESISC45/NWPU_images/"])
def test_archive_of_any_nesting_is_laid_out(tmp_path, nesting):
    content = put(
        tmp_path / "in", f"{nesting}airplane/airplane_001.jpg", f"{nesting}sea_ice/sea_ice_700.jpg", "ReadMe.txt"
    )
    archive = zipped(content, tmp_path / "a.zip")
    assert lay_out(NWPU, [archive], tmp_path / "imagenes", {}) == LaidOutCounts(2, 1)
    assert laid(tmp_path / "imagenes") == [
        "NWPU/NWPU_images/airplane/airplane_001.jpg",
        "NWPU/NWPU_images/sea_ice/sea_ice_700.jpg",
    ]
    assert archive.exists()


def test_archives_inside_archives_are_unpacked(tmp_path):
    inner = zipped(put(tmp_path / "in", "x/0.tif", "x/1.tif"), tmp_path / "inner.zip")
    outer = zipped(put(tmp_path / "out", "info.txt"), tmp_path / "outer.zip", inner)
    assert lay_out(LR, [outer], tmp_path / "imagenes", {}).images == 2
    assert laid(tmp_path / "imagenes") == ["LR/Train/0.tif", "LR/Train/1.tif"]


def test_several_archives_make_one_source(tmp_path):
    archives = [zipped(put(tmp_path / n, f"images/{n}.tif"), tmp_path / f"{n}.zip") for n in ("1", "2", "3")]
    lay_out(LR, archives, tmp_path / "imagenes", {})
    assert laid(tmp_path / "imagenes") == [f"LR/Train/{n}.tif" for n in (1, 2, 3)]


def test_user_folder_is_not_changed(tmp_path):
    folder = put(tmp_path / "mine", "x/0.tif", "x/1.tif")
    zipped(put(tmp_path / "in", "2.tif"), folder / "more.zip")
    lay_out(LR, [folder], tmp_path / "imagenes", {})
    assert laid(tmp_path / "imagenes") == ["LR/Train/0.tif", "LR/Train/1.tif", "LR/Train/2.tif"]
    assert laid(folder) == ["more.zip", "x/0.tif", "x/1.tif"]


def test_records_decide_the_names_of_images(tmp_path):
    folder = put(tmp_path / "mine", "pool/AIRPORT_1.JPG", "pool/unasked.jpg", "other/airport_2.png", "UCM/images/3.jpg")
    wanted = wanted_names(RSICD, ["RSICD/images/airport_1.jpg", "RSICD/images/none.jpg", "UCM/images/3.jpg"])
    assert lay_out(RSICD, [folder], tmp_path / "imagenes", wanted) == LaidOutCounts(2, 2)
    assert laid(tmp_path / "imagenes") == ["RSICD/images/airport_1.jpg", "RSICD/images/unasked.jpg"]


def test_system_files_in_archives_are_not_images(tmp_path):
    folder = put(tmp_path / "mine", "__MACOSX/x/0.tif", "x/._0.tif", ".trash/0.tif", "x/0.tif")
    assert lay_out(LR, [folder], tmp_path / "imagenes", {}) == LaidOutCounts(1, 3)


def test_repeated_layout_changes_nothing(tmp_path):
    folder = put(tmp_path / "mine", "x/0.tif")
    lay_out(LR, [folder], tmp_path / "imagenes", {})
    lay_out(LR, [zipped(folder, tmp_path / "a.zip")], tmp_path / "imagenes", {})
    assert laid(tmp_path / "imagenes") == ["LR/Train/0.tif"]


def test_archive_without_images_of_the_source_is_refused(tmp_path):
    folder = put(tmp_path / "mine", "notes.txt")
    with pytest.raises(DataError, match="holds no images of LR"):
        lay_out(LR, [folder], tmp_path / "imagenes", {})
    assert laid(tmp_path / "imagenes") == []


def test_two_images_with_one_name_are_refused(tmp_path):
    folder = put(tmp_path / "mine", "x/0.tif", "y/0.tif")
    (folder / "y" / "0.tif").write_text("another")
    with pytest.raises(DataError, match="are two images for"):
        lay_out(LR, [folder], tmp_path / "imagenes", {})


def test_different_existing_file_is_not_overwritten(tmp_path):
    put(tmp_path / "imagenes", "LR/Train/0.tif")
    (tmp_path / "imagenes" / "LR/Train/0.tif").write_text("mine")
    with pytest.raises(DataError, match="differs from the fetched file"):
        lay_out(LR, [put(tmp_path / "in", "0.tif")], tmp_path / "imagenes", {})
    assert (tmp_path / "imagenes" / "LR/Train/0.tif").read_text() == "mine"
    assert laid(tmp_path / "imagenes") == ["LR/Train/0.tif"]


def test_archives_inside_archives_share_the_outer_limits(tmp_path):
    content = put(tmp_path / "in", *(f"{n}.tif" for n in range(100)))
    inner = [zipped(content, tmp_path / f"inner{n}.zip") for n in range(5)]
    outer = zipped(put(tmp_path / "out", "info.txt"), tmp_path / "outer.zip", *inner)
    folders = 1 + 5
    fits = ArchiveLimits(entries=folders + 1 + 5 + 5 * 100)
    assert lay_out(LR, [outer], tmp_path / "imagenes", {}, fits).images == 100
    too_many, too_large = ArchiveLimits(entries=folders + 5 * 100), ArchiveLimits(total_bytes=50_000)
    for limits in (too_many, too_large, ArchiveLimits(ratio=1.01, ratio_from_bytes=50_000)):
        with pytest.raises(DataError, match="No file of it was kept"):
            lay_out(LR, [outer], tmp_path / "other", {}, limits)
        assert list((tmp_path / "other").iterdir()) == []
