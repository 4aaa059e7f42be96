"""Tar archives, plain or compressed: one pass, each entry judged before its bytes are written."""

import bz2
import gzip
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from tasks.data.archives.admission import Entry, Gate, Kind
from tasks.data.archives.writing import CHUNK_BYTES, write_stream

# Tools pad a tar to full records of 10 KiB, some to more; megabytes behind its end are no padding.
LONGEST_TAIL_BYTES = 16 << 20


class WholeTarInfo(tarfile.TarInfo):
    """A header that must be whole: tarfile itself takes any broken header but the first for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "WholeTarInfo":
        """Read one header block."""
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if isinstance(error, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
                raise
            raise tarfile.ReadError(f"no whole header where one should be ({error})") from None


def open_zstd(path: Path) -> IO[bytes]:
    """Open a zstandard file for reading."""
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    return cast(IO[bytes], zstd.open(path, "rb"))


OPENERS: dict[str, Callable[[Path], Any]] = {
    "tar": lambda path: path.open("rb"),
    "gzip": gzip.open,
    "bzip2": bz2.open,
    "xz": lzma.open,
    "zstd": open_zstd,
}


def unpack_tar(archive: Path, folder: Path, gate: Gate, compression: str) -> None:
    """Unpack a tar archive of a compression named in OPENERS into an empty folder."""
    with OPENERS[compression](archive) as stream:
        with tarfile.open(
            fileobj=stream, mode="r|", bufsize=CHUNK_BYTES, tarinfo=WholeTarInfo, errors="surrogateescape"
        ) as file:
            for member in file:
                _unpack_member(file, member, folder, gate)
        _require_end(stream, gate)


def _unpack_member(file: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, gate: Gate) -> None:
    # tar stores a file with two names once, and the second time as a hard link
    twin = folder / gate.inside(member.linkname) if member.islnk() else None
    kind: Kind = "file" if twin else _kind_of(member)
    path = folder / gate.admit(Entry(member.name, member.size, kind))
    if kind == "folder":
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if twin:
        if not twin.is_file():
            gate.refuse(f"links {member.name!r} to what it does not hold", "repack it with the files themselves")
        os.link(twin, path)
        return
    source = file.extractfile(member)
    assert source is not None
    write_stream(str(path), source, member.size)


def _kind_of(member: tarfile.TarInfo) -> Kind:
    if member.isdir():
        return "folder"
    if member.issym():
        return "link"
    return "file" if member.isreg() else "device"


def _require_end(stream: Any, gate: Gate) -> None:
    """Read to the end of the file: only there do compressed streams prove their checksum."""
    tail = 0
    while chunk := stream.read(CHUNK_BYTES):
        tail += len(chunk)
        if tail > LONGEST_TAIL_BYTES:
            gate.refuse("goes on behind its end", "it is damaged or made to do harm")
