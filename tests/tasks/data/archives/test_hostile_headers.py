"""Archives with false or endless headers are refused, and read with bounded memory."""

import lzma
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import py7zr
import pytest
from support.rar_archives import RarEntry, write_rar

from tasks.data.archives.entries import ArchiveLimits
from tasks.data.archives.unpacking import unpack
from tasks.errors import DataError

LIMITS = ArchiveLimits(entries=1000, name_characters=20_000, header_bytes=1 << 20, ratio_from_bytes=1 << 20)
HUGE = 2 << 30
# enough for an interpreter with the readers, and far less than any of these archives asks for
MEMORY_BYTES = 400 << 20
UNPACK = """
import resource, sys
from pathlib import Path
from tasks.data.archives.unpacking import unpack
from tasks.errors import DataError
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[3]), int(sys.argv[3])))
try:
    unpack(Path(sys.argv[1]), Path(sys.argv[2]))
except DataError as error:
    print(error)
"""


def block(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> bytes:
    """A header block of a tar archive that declares any size."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info.tobuf(tarfile.GNU_FORMAT)


def pax(kind: bytes = tarfile.XHDTYPE, **values: str) -> bytes:
    """A pax header; two underscores in a keyword become a dot."""
    body = b""
    for key, value in values.items():
        line = f" {key.replace('__', '.')}={value}\n"
        length = len(line) + len(str(len(line) + 3))
        body += f"{length}{line}".encode()
    return block("pax", kind, len(body)) + padded(body)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % tarfile.BLOCKSIZE)


FILE = block("a.jpg", size=4) + padded(b"data")
SPARSE = {"GNU__sparse__major": "1", "GNU__sparse__minor": "0", "GNU__sparse__name": "a", "GNU__sparse__realsize": "9"}
SIZES = "declares two sizes"
MANY_LINKS = b"".join(block(f"{n}", tarfile.LNKTYPE, link="a") for n in range(500))
TARS: dict[str, tuple[bytes, str]] = {
    "negative size": (block("a", size=-512) + FILE, "negative"),
    "negative size of a link": (FILE + block("b", tarfile.LNKTYPE, -HUGE, "a.jpg"), "negative"),
    "negative size of a folder": (block("d", tarfile.DIRTYPE, -HUGE) + FILE, "negative"),
    "negative size in pax": (pax(size="-1000000") + FILE, "sizes|negative|damaged"),
    "negative size of all": (pax(tarfile.XGLTYPE, size="-1000000") + FILE, "sizes|negative|damaged"),
    "size of all": (pax(tarfile.XGLTYPE, size="2000") + FILE, SIZES),
    "sparse 1.0": (pax(**SPARSE) + block("a", size=512) + padded(b"1\n0\n9\n"), "sparse"),
    "sparse 1.0 of an endless map": (pax(**SPARSE) + block("a", size=512) + padded(b"9" * 15 + b"\n"), "sparse"),
    "sparse 0.1": (pax(GNU__sparse__map="0,4", GNU__sparse__size="-99999") + FILE, SIZES),
    "sparse 0.0": (pax(GNU__sparse__size="99999", GNU__sparse__numblocks="0") + FILE, SIZES),
    "real size alone": (pax(GNU__sparse__realsize="-99999") + FILE, f"{SIZES}|negative"),
    "old sparse": (block("a", tarfile.GNUTYPE_SPARSE, 512) + bytes(512), "sparse"),
    "pax of 2 GB": (block("x", tarfile.XHDTYPE, HUGE), "header of 2147483648 bytes"),
    "pax of all of 2 GB": (block("x", tarfile.XGLTYPE, HUGE), "header of 2147483648 bytes"),
    "Solaris pax of 2 GB": (block("x", tarfile.SOLARIS_XHDTYPE, HUGE), "header of 2147483648 bytes"),
    "long name of 2 GB": (block("x", tarfile.GNUTYPE_LONGNAME, HUGE), "header of 2147483648 bytes"),
    "long link of 2 GB": (block("x", tarfile.GNUTYPE_LONGLINK, HUGE), "header of 2147483648 bytes"),
    "pax upon pax": (pax(comment="x") * 5000 + FILE, "damaged"),
    "headers upon headers": (b"".join(pax(comment="x" * 2000) + block(f"{n}") for n in range(500)), "headers of more"),
    "headers of all": (
        b"".join(pax(tarfile.XGLTYPE, **{f"k{n}": "x" * 9000}) + block(f"{n}") for n in range(5)),
        "global headers",
    ),
    "folders": (b"".join(block(f"d{n}", tarfile.DIRTYPE) for n in range(1001)), "more than 1000 files and folders"),
    "one folder again and again": (block("d", tarfile.DIRTYPE) * 1001, "more than 1000 files and folders"),
    "links": (
        FILE + b"".join(block(f"{n}", tarfile.LNKTYPE, link="a.jpg") for n in range(1001)),
        "more than 1000 files and folders",
    ),
    "links of many bytes": (
        block("a", size=200_000) + padded(b"x" * 200_000) + MANY_LINKS,
        "times its size",
    ),
    "folders on the way": (b"".join(block(f"{n}/a/b") for n in range(400)), "more than 1000 files and folders"),
    "names": (b"".join(block(f"{n:090d}") for n in range(300)), "names of more than"),
    "deep folders": (block("a/" * 49 + "b", tarfile.REGTYPE) + pax(path="a/" * 70 + "b") + FILE, "too deep"),
}  # fmt: skip


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[Path, str], None]:
    """A function that requires an archive to be refused with a message and to leave nothing."""

    def require(archive: Path, message: str) -> None:
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(DataError, match=message) as refusal:
            unpack(archive, tmp_path / "out", LIMITS)
        assert "\n" not in str(refusal.value)
        assert sorted(tmp_path.rglob("*")) == before

    return require


@pytest.mark.parametrize("compress", [bytes, lzma.compress], ids=["tar", "tar.xz"])
@pytest.mark.parametrize("name", TARS)
def test_tar_with_false_or_endless_headers_is_refused(tmp_path, refused, name, compress):
    content, message = TARS[name]
    (tmp_path / "bad.tar").write_bytes(compress(content + bytes(1024)))
    refused(tmp_path / "bad.tar", message)


def test_size_in_the_header_of_a_hard_link_is_ignored(tmp_path):
    (tmp_path / "a.tar").write_bytes(FILE + block("b.jpg", tarfile.LNKTYPE, 1 << 40, "a.jpg") + bytes(1024))
    assert unpack(tmp_path / "a.tar", tmp_path / "out", LIMITS).total_bytes == 8
    assert (tmp_path / "out" / "b.jpg").read_bytes() == b"data"


def test_zip_with_too_many_folders_is_refused(tmp_path, refused):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as file:
        for number in range(1001):
            file.mkdir(f"{number}")
    refused(tmp_path / "bad.zip", "more than 1000 files and folders")


def test_zip_with_a_directory_of_gigabytes_is_refused_before_it_is_read(tmp_path, refused):
    with (tmp_path / "bad.zip").open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(HUGE)
        file.seek(HUGE)
        file.write(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, HUGE - 4, 4, 0))
    refused(tmp_path / "bad.zip", "has a directory of more than")


def test_zip_with_an_entry_before_its_start_is_refused(tmp_path, refused):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as file:
        file.writestr("a", bytes(200))
    whole = (tmp_path / "bad.zip").read_bytes()
    # removing data shifts all offsets: zipfile seeks to a negative one, which the system refuses
    (tmp_path / "bad.zip").write_bytes(whole[:50] + whole[150:])
    refused(tmp_path / "bad.zip", "damaged or cut off")


def test_zip_method_without_a_memory_limit_is_refused(tmp_path, refused):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w", zipfile.ZIP_LZMA) as file:
        file.writestr("a", b"data")
    refused(tmp_path / "bad.zip", "unsupported compression method")


def test_7z_with_too_many_folders_is_refused(tmp_path, refused):
    (tmp_path / "d").mkdir()
    with py7zr.SevenZipFile(tmp_path / "bad.7z", "w") as file:
        for number in range(1001):
            file.write(tmp_path / "d", f"{number}")
    refused(tmp_path / "bad.7z", "more than 1000 files and folders")


def test_rar_with_too_many_implied_folders_is_refused(tmp_path, refused):
    entries = [RarEntry(f"{number}/a/b.jpg", b"x") for number in range(400)]
    refused(write_rar(tmp_path / "bad.rar", entries), "more than 1000 files and folders")


def test_xz_that_needs_much_memory_is_refused(tmp_path, refused):
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]
    squeezed = lzma.compress(FILE, lzma.FORMAT_XZ, filters=filters, check=lzma.CHECK_CRC32)
    # the dictionary's size is one byte of the block's header, which carries its own checksum
    import zlib

    header = bytearray(squeezed[12:24])
    header[4] = 36
    header[8:12] = struct.pack("<I", zlib.crc32(header[:8]))
    (tmp_path / "bad.tar.xz").write_bytes(squeezed[:12] + bytes(header) + squeezed[24:])
    refused(tmp_path / "bad.tar.xz", "damaged")


def endless(start: bytes) -> Callable[[Path], None]:
    """A gzipped tar whose start is followed by 2 GB, 10 kB in the file per 10 MB."""

    def build(path: Path) -> None:
        import gzip

        zeros = gzip.compress(bytes(64 << 20))
        path.write_bytes(gzip.compress(start) + zeros * 32)

    return build


@pytest.mark.slow
@pytest.mark.parametrize(
    "start",
    [
        block("x", tarfile.XHDTYPE, HUGE),
        block("x", tarfile.GNUTYPE_LONGNAME, HUGE),
        pax(**SPARSE) + block("a", size=HUGE) + b"9" * 15 + b"\n",
    ],
    ids=["pax", "long name", "sparse map"],
)
def test_header_of_gigabytes_is_refused_with_bounded_memory(tmp_path, start):
    endless(start)(tmp_path / "bad.tar.gz")
    command = [sys.executable, "-c", UNPACK, str(tmp_path / "bad.tar.gz"), str(tmp_path / "out"), str(MEMORY_BYTES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "damaged" in done.stdout or "sparse" in done.stdout
    assert "out of memory" not in done.stdout
    assert not (tmp_path / "out").exists()
