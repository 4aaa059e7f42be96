"""Malicious and damaged archives are refused with a one-line message, and nothing of them is kept."""

import bz2
import gzip
import io
import json
import lzma
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import py7zr
import pytest
from support.locations import REPO
from support.rar_archives import RarEntry, write_rar

from tasks.data.archives.entries import ArchiveLimits
from tasks.data.archives.unpacking import unpack
from tasks.errors import DataError

OUT, LINK, DEVICE = "leads out of its folder", "holds a link", "device, pipe or socket"
TWICE, MIXED, BOMB = "two entries for one name", "as a file and as a folder", "times its size"
LOCKED, BROKEN = "is encrypted", "damaged or cut off"
# more than a small archive may unpack to
LIMITS = ArchiveLimits(ratio_from_bytes=1 << 20)
ZEROS = bytes(4 << 20)

Build = Callable[[Path], None]


def zipped(*entries: tuple[str, bytes], mode: int = 0, change: Callable[[bytes], bytes] = bytes) -> Build:
    def build(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in entries:
                info = zipfile.ZipInfo("x")
                info.filename = name
                info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
                file.writestr(info, data)
        path.write_bytes(change(path.read_bytes()))

    return build


def tarred(
    *names: str, kind: bytes = tarfile.REGTYPE, target: str = "", change: Callable[[bytes], bytes] = bytes
) -> Build:
    def build(path: Path) -> None:
        with tarfile.open(path, "w") as file:
            for name in names:
                info = tarfile.TarInfo(name)
                info.type, info.linkname = kind, target
                info.size = 700 if kind == tarfile.REGTYPE else 0
                file.addfile(info, io.BytesIO(bytes(700)))
        path.write_bytes(change(path.read_bytes()))

    return build


def through_a_link(path: Path) -> None:
    with tarfile.open(path, "w") as file:
        link = tarfile.TarInfo("d")
        link.type, link.linkname = tarfile.SYMTYPE, "/tmp"
        file.addfile(link)
        file.addfile(tarfile.TarInfo("d/evil.txt"))


def sevened(name: str, data: bytes = b"data", password: str | None = None, hide: bool = False) -> Build:
    """A 7z archive with a patched entry name: py7zr does not write hostile names."""

    def build(path: Path) -> None:
        with py7zr.SevenZipFile(path, "w", password=password, header_encryption=hide) as file:
            if not hide:
                file.set_encoded_header_mode(False)
            file.writestr(data, "n" * len(name))
        if hide:
            return
        whole = path.read_bytes().replace(("n" * len(name)).encode("utf-16le"), name.encode("utf-16le"))
        offset, size = struct.unpack("<QQ", whole[12:28])
        start = whole[12:28] + struct.pack("<I", zlib.crc32(whole[32 + offset : 32 + offset + size]))
        path.write_bytes(whole[:8] + struct.pack("<I", zlib.crc32(start)) + start + whole[32:])

    return build


def sevened_all(*names: str) -> Build:
    def build(path: Path) -> None:
        with py7zr.SevenZipFile(path, "w") as file:
            for name in names:
                file.writestr(b"data", name)

    return build


def zstd_compressed(data: bytes) -> bytes:
    return pytest.importorskip("backports.zstd").compress(data)


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda whole: whole[: int(len(whole) * share)]


def squeezed(compress: Callable[[bytes], bytes], share: float = 1) -> Callable[[bytes], bytes]:
    return lambda whole: cut(share)(compress(whole))


def overlapping(whole: bytes) -> bytes:
    """Repeat the directory entry under other names that share the bytes of one file."""
    start = whole.index(b"PK\x01\x02")
    entry, end = whole[start : whole.index(b"PK\x05\x06")], whole[whole.index(b"PK\x05\x06") :]
    entries = b"".join(entry.replace(b"name", b"n%03d" % number) for number in range(200))
    counts = struct.pack("<HHII", 200, 200, len(entries), start)
    return whole[:start] + entries + end[:8] + counts + end[20:]


def flagged(whole: bytes) -> bytes:
    """Set the encryption bit in both headers of the only entry."""
    changed = bytearray(whole)
    changed[6] |= 1
    changed[whole.index(b"PK\x01\x02") + 8] |= 1
    return bytes(changed)


def zeros_tar(compress: Callable[[bytes], bytes]) -> Build:
    def build(path: Path) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as file:
            info = tarfile.TarInfo("zeros")
            info.size = len(ZEROS)
            file.addfile(info, io.BytesIO(ZEROS))
        path.write_bytes(compress(buffer.getvalue()))

    return build


HOSTILE: dict[str, tuple[Build, str]] = {
    "zip traversal": (zipped(("../evil.txt", b"x")), OUT),
    "zip traversal inside": (zipped(("a/b/../../../evil.txt", b"x")), OUT),
    "zip absolute": (zipped(("/tmp/evil.txt", b"x")), OUT),
    "zip backslashes": (zipped(("..\\evil.txt", b"x")), OUT),
    "zip drive": (zipped(("C:\\evil.txt", b"x")), OUT),
    "zip NUL in a name": (zipped(("a.jpgX.txt", b"x"), change=lambda w: w.replace(b"a.jpgX", b"a.jpg\0")), "control"),
    "zip long name": (zipped(("n" * 300, b"x")), "too long"),
    "zip symlink": (zipped(("link", b"/etc/passwd"), mode=0o120777), LINK),
    "zip pipe": (zipped(("pipe", b""), mode=0o010666), DEVICE),
    "zip device": (zipped(("dev", b""), mode=0o020666), DEVICE),
    "zip case": (zipped(("a/Plane.jpg", b"1"), ("A/plane.JPG", b"2")), TWICE),
    "zip sharp s": (zipped(("straße", b"1"), ("STRASSE", b"2")), TWICE),
    "zip composed letters": (zipped(("\u00e9", b"1"), ("e\u0301", b"2")), TWICE),
    "zip file and folder": (zipped(("a", b"1"), ("a/b", b"2")), MIXED),
    "zip folder and file": (zipped(("a/b", b"1"), ("A", b"2")), MIXED),
    "zip bomb": (zipped(("zeros", ZEROS)), BOMB),
    "zip overlapping": (zipped(("name", bytes(range(256)) * 9), change=overlapping), "overlap"),
    "zip encrypted": (zipped(("a", b"secret"), change=flagged), LOCKED),
    "zip cut": (zipped(("a", bytes(range(256)) * 9), change=cut(0.6)), BROKEN),
    "zip changed byte": (zipped(("a", b"x" * 9), change=lambda w: w[:32] + b"\xff" + w[33:]), BROKEN),
    "tar traversal": (tarred("../evil.txt"), OUT),
    "tar absolute": (tarred("/tmp/evil.txt"), OUT),
    "tar symlink": (tarred("link", kind=tarfile.SYMTYPE, target="../../etc/passwd"), LINK),
    "tar through a link": (through_a_link, LINK),
    "tar hard link out": (tarred("link", kind=tarfile.LNKTYPE, target="../../etc/passwd"), OUT),
    "tar hard link to nothing": (tarred("link", kind=tarfile.LNKTYPE, target="other"), "does not contain"),
    "tar character device": (tarred("dev", kind=tarfile.CHRTYPE), DEVICE),
    "tar pipe": (tarred("pipe", kind=tarfile.FIFOTYPE), DEVICE),
    "tar case": (tarred("Plane.jpg", "plane.jpg"), TWICE),
    "tar cut in a file": (tarred("a", "b", change=lambda w: w[:1000]), BROKEN),
    "tar cut between files": (tarred("a", "b", change=lambda w: w[:1536]), BROKEN),
    "tar.gz cut": (tarred("a", "b", change=squeezed(gzip.compress, 0.9)), BROKEN),
    "tar.xz cut": (tarred("a", "b", change=squeezed(lzma.compress, 0.7)), BROKEN),
    "tar.bz2 cut": (tarred("a", "b", change=squeezed(bz2.compress, 0.7)), BROKEN),
    "tar.zst cut": (tarred("a", "b", change=squeezed(zstd_compressed, 0.7)), BROKEN),
    "tar block device": (tarred("dev", kind=tarfile.BLKTYPE), DEVICE),
    "tar.gz traversal": (tarred("a/../../evil.txt", change=gzip.compress), OUT),
    "tar.bz2 symlink": (tarred("link", kind=tarfile.SYMTYPE, target="/etc/passwd", change=bz2.compress), LINK),
    "tar.xz absolute": (tarred("/tmp/evil.txt", change=lzma.compress), OUT),
    "tar.zst traversal": (tarred("../evil.txt", change=zstd_compressed), OUT),
    "tar.bz2 bomb": (zeros_tar(bz2.compress), BOMB),
    "tar.zst bomb": (zeros_tar(zstd_compressed), BOMB),
    "tar.gz changed sum": (tarred("a", change=lambda w: gzip.compress(w)[:-8] + bytes(8)), BROKEN),
    "tar.gz bomb": (zeros_tar(gzip.compress), BOMB),
    "tar.xz bomb": (zeros_tar(lambda data: lzma.compress(data, preset=0)), BOMB),
    "7z traversal": (sevened("../evil.txt"), OUT),
    "7z absolute": (sevened("/tmp/evil.txt"), OUT),
    "7z case": (sevened_all("Plane.jpg", "plane.jpg"), TWICE),
    "7z file and folder": (sevened_all("a", "a/b"), MIXED),
    "7z encrypted": (sevened("a", password="secret"), LOCKED),
    "7z encrypted names": (sevened("a", password="secret", hide=True), LOCKED),
    "7z bomb": (sevened("zeros", ZEROS), BOMB),
}


def require_refused(tmp_path: Path, archive: Path, message: str) -> None:
    before = list(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=message) as refusal:
        unpack(archive, tmp_path / "data" / "out", LIMITS)
    assert archive.name in str(refusal.value) and "\n" not in str(refusal.value)
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "data"])


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archive_is_refused_and_leaves_nothing(tmp_path, name):
    build, message = HOSTILE[name]
    build(tmp_path / "bad.archive")
    require_refused(tmp_path, tmp_path / "bad.archive", message)


def test_cut_7z_archive_is_refused(tmp_path):
    sevened("a.jpg", bytes(range(256)) * 99)(tmp_path / "bad.7z")
    whole = (tmp_path / "bad.7z").read_bytes()
    (tmp_path / "bad.7z").write_bytes(whole[: len(whole) // 2])
    require_refused(tmp_path, tmp_path / "bad.7z", BROKEN)


def test_7z_archive_with_a_symlink_is_refused(tmp_path):
    (tmp_path / "link").symlink_to("/etc/passwd")
    with py7zr.SevenZipFile(tmp_path / "bad.7z", "w") as file:
        file.write(tmp_path / "link", "link")
    require_refused(tmp_path, tmp_path / "bad.7z", LINK)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../evil.txt"}, OUT),
        ({"name": "/tmp/evil.txt"}, OUT),
        ({"name": "link", "link": "/etc/passwd"}, LINK),
        ({"name": "link", "link": "../../etc/passwd", "link_kind": 4}, LINK),
        ({"name": "dev", "mode": 0o020666}, DEVICE),
        ({"name": "pipe", "mode": 0o010666}, DEVICE),
        ({"name": "first.jpg/below.jpg"}, MIXED),
        ({"name": "a", "encrypted": True}, LOCKED),
        ({"name": "a", "data": b"x", "crc": 1}, BROKEN),
        ({"name": "a", "data": b"x", "declared": 100 << 20}, BOMB),
        ({"name": "FIRST.jpg"}, TWICE),
    ],
)
def test_hostile_rar_archive_is_refused_and_leaves_nothing(tmp_path, changes, message):
    archive = write_rar(tmp_path / "bad.rar", [RarEntry("first.jpg", b"whole"), RarEntry(**changes)])
    require_refused(tmp_path, archive, message)


@pytest.mark.parametrize("left", [9, 30])
def test_cut_rar_archive_is_refused(tmp_path, left):
    entries = [RarEntry(f"{number}.jpg", b"x" * 40) for number in range(3)]
    archive = write_rar(tmp_path / "bad.rar", entries)
    archive.write_bytes(archive.read_bytes()[:-left])
    require_refused(tmp_path, archive, BROKEN)


PROGRAM = REPO / "tests" / "benchmarks" / "hostile_archives.py"
KINDS = ("zip", "tar", "tar of gnu", "tar.gz", "tar.bz2", "tar.xz", "tar.zst", "7z", "rar")
MUTATIONS = 60
MEMORY_MIB = 600


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_mutated_archive_is_refused_or_unpacked_correctly(kind):
    command = [sys.executable, str(PROGRAM), kind, str(MUTATIONS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == 0, found["first_wrong"]
    assert found["refused"] + found["unpacked"] >= MUTATIONS - 1 and found["refused"]
    assert found["growth_mib"] < MEMORY_MIB
