import os
import tarfile
import zipfile
from pathlib import Path

import py7zr
import pytest
from support.rar_archives import RarEntry, write_rar

from tasks.data.archives.entries import ArchiveLimits
from tasks.data.archives.unpacking import UnpackedCounts, archive_kind, unpack
from tasks.errors import DataError

FILES = {"set/a/1.jpg": b"one" * 500, "set/b/2.jpg": b"two", "set/empty.txt": b"", "naïve name.txt": b"3"}
FOLDERS = 3  # set, set/a, set/b
TOTAL = sum(map(len, FILES.values()))


def laid_out(folder: Path) -> Path:
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def make_zip(source: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.mkdir("set")
        for name in FILES:
            file.write(source / name, name)
    return path


def make_tar(source: Path, path: Path, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as file:
        for name in FILES:
            file.add(source / name, f"./{name}")
    return path


def make_zstd(source: Path, path: Path) -> Path:
    zstd = pytest.importorskip("backports.zstd")
    path.write_bytes(zstd.compress(make_tar(source, path.with_suffix(".plain")).read_bytes()))
    return path


def make_7z(source: Path, path: Path) -> Path:
    with py7zr.SevenZipFile(path, "w") as file:
        for name in FILES:
            file.write(source / name, name)
    return path


MAKERS = {
    "zip": make_zip,
    "tar": make_tar,
    "gzip": lambda source, path: make_tar(source, path, "w:gz"),
    "bzip2": lambda source, path: make_tar(source, path, "w:bz2"),
    "xz": lambda source, path: make_tar(source, path, "w:xz"),
    "zstd": make_zstd,
    "7z": make_7z,
}


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", MAKERS)
def test_each_kind_is_recognised_by_content_and_unpacked(tmp_path, kind):
    archive = MAKERS[kind](laid_out(tmp_path / "source"), tmp_path / "any name")
    assert archive_kind(archive) == kind
    assert unpack(archive, tmp_path / "out") == UnpackedCounts(len(FILES), len(FILES) + FOLDERS, TOTAL)
    assert content(tmp_path / "out") == FILES


def test_rar_archive_is_unpacked(tmp_path):
    archive = write_rar(tmp_path / "a.rar", [RarEntry(name, data) for name, data in FILES.items()])
    assert unpack(archive, tmp_path / "out") == UnpackedCounts(len(FILES), len(FILES) + FOLDERS, TOTAL)
    assert content(tmp_path / "out") == FILES


@pytest.mark.slow
def test_many_files_are_unpacked_by_several_processes(tmp_path):
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as file:
        for number in range(10_050):
            file.writestr(f"{number % 7}/{number}.txt", str(number))
    assert unpack(tmp_path / "many.zip", tmp_path / "out", workers=2).files == 10_050
    assert all((tmp_path / "out" / str(n % 7) / f"{n}.txt").read_text() == str(n) for n in range(10_050))


@pytest.mark.slow
def test_damage_in_one_share_leaves_nothing(tmp_path):
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as file:
        for number in range(10_050):
            file.writestr(f"{number}.txt", f"content {number}")
    whole = (tmp_path / "many.zip").read_bytes()
    (tmp_path / "many.zip").write_bytes(whole.replace(b"content 9000", b"content XXXX"))
    with pytest.raises(DataError, match="damaged or cut off"):
        unpack(tmp_path / "many.zip", tmp_path / "out", workers=2)
    assert [path.name for path in tmp_path.iterdir()] == ["many.zip"]


def test_tar_hard_link_is_unpacked_as_a_file(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "1.jpg").write_bytes(b"same")
    os.link(tmp_path / "source" / "1.jpg", tmp_path / "source" / "2.jpg")
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.add(tmp_path / "source", "s")
    unpack(tmp_path / "a.tar", tmp_path / "out")
    assert content(tmp_path / "out") == {"s/1.jpg": b"same", "s/2.jpg": b"same"}


def test_existing_folder_is_not_changed(tmp_path):
    archive = make_zip(laid_out(tmp_path / "source"), tmp_path / "a.zip")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="out exists"):
        unpack(archive, tmp_path / "out")
    assert content(tmp_path / "out") == {"mine.txt": b"mine"}


@pytest.mark.parametrize("limits", [ArchiveLimits(entries=3), ArchiveLimits(total_bytes=TOTAL - 1)])
def test_archive_beyond_the_limits_is_refused(tmp_path, limits):
    archive = make_tar(laid_out(tmp_path / "source"), tmp_path / "a.tar")
    with pytest.raises(DataError, match="if you trust it"):
        unpack(archive, tmp_path / "out", limits)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x89PNG\r\n\x1a\n"])
def test_file_that_is_not_an_archive_is_refused(tmp_path, data):
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataError, match="not a zip, tar, rar or 7z"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_missing_archive_is_named(tmp_path):
    with pytest.raises(DataError, match="is not a file"):
        unpack(tmp_path / "none.zip", tmp_path / "out")
