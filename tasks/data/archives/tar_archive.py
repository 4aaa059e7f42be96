"""Tar archives, plain or compressed: one pass, each entry checked before its bytes are written."""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, NoReturn, cast

from tasks.data.archives.entries import CHUNK_BYTES, Entry, EntryChecker, Kind, write_stream
from tasks.files import link_or_copy

# Tools pad a tar to full records of 10 KiB, some to more; megabytes after its end are not padding.
LONGEST_TAIL_BYTES = 16 << 20
# A header that describes the next one: some hundred bytes for a long name, read into memory at once.
LONGEST_HEADER_BYTES = 32 << 10
EXTENSION_HEADERS = frozenset(
    {
        *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
        *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    }
)
# xz -9 needs 65 MB
XZ_MEMORY_BYTES = 256 << 20


class BoundedTarInfo(tarfile.TarInfo):
    """A header that is checked for damage and size: tarfile mistakes damage for the end, and reads any size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "BoundedTarInfo":
        """Read one header block."""
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if isinstance(error, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
                raise
            raise tarfile.ReadError(f"a damaged header ({error})") from None
        if header.size < 0:
            raise tarfile.ReadError("a header of negative size")
        if header.type in EXTENSION_HEADERS and header.size > LONGEST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        if header.type == tarfile.GNUTYPE_SPARSE:
            _refuse_sparse()
        return header

    def _proc_gnusparse_10(self, *_: object) -> None:
        # tarfile would read a map of any length into memory
        _refuse_sparse()


def _refuse_sparse() -> NoReturn:
    raise tarfile.ReadError("a sparse file, which is not supported")


class XzReader(io.RawIOBase):
    """An xz file, read with bounded memory, which lzma.open has no option for."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self._decoder = self._new_decoder()

    def _new_decoder(self) -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)

    def read(self, size: int = -1, /) -> bytes:
        """Read at most `size` bytes; empty at the end of the last stream."""
        while True:
            data = self._decoder.unused_data if self._decoder.eof else b""
            if self._decoder.eof:
                # streams may follow each other, with zeros between them
                data = (data or self._file.read(CHUNK_BYTES)).lstrip(b"\0")
                if not data and not (data := self._file.read(CHUNK_BYTES).lstrip(b"\0")):
                    return b""
                self._decoder = self._new_decoder()
            elif self._decoder.needs_input and not (data := self._file.read(CHUNK_BYTES)):
                raise EOFError("the compressed data ends before its end marker")
            if found := self._decoder.decompress(data, size):
                return found

    def close(self) -> None:
        self._file.close()
        super().close()


def open_zstd(path: Path) -> IO[bytes]:
    """Open a zstandard file for reading."""
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    return cast(IO[bytes], zstd.open(path, "rb"))


Stream = IO[bytes] | io.BufferedIOBase | XzReader
OPENERS: dict[str, Callable[[Path], Stream]] = {
    "tar": lambda path: path.open("rb"),
    "gzip": gzip.open,
    "bzip2": bz2.open,
    "xz": lambda path: XzReader(path.open("rb")),
    "zstd": open_zstd,
}


def unpack_tar(archive: Path, folder: Path, checker: EntryChecker, compression: str) -> None:
    """Unpack a tar archive into an empty folder; `compression` is a key of OPENERS."""
    with OPENERS[compression](archive) as stream:
        with tarfile.open(
            fileobj=stream, mode="r|", bufsize=CHUNK_BYTES, tarinfo=BoundedTarInfo, errors="surrogateescape"
        ) as file:
            while (member := file.next()) is not None:
                _unpack_member(file, member, folder, checker)
                # tarfile would keep all of them in memory
                file.members = []  # type: ignore[attr-defined]
        _require_end(stream, checker)


def _unpack_member(file: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, checker: EntryChecker) -> None:
    _require_consistent(file, member, checker)
    # tar stores the second name of a file as a hard link
    twin = folder / checker.relative_path(member.linkname) if member.islnk() else None
    if twin and not twin.is_file():
        checker.refuse(
            f"links {member.name!r} to a file that it does not contain", "repack it with the files themselves"
        )
    kind: Kind = "file" if twin else _kind_of(member)
    # the size in the header of a link is meaningless
    size_bytes = twin.stat().st_size if twin else member.size
    path = folder / checker.check(Entry(member.name, size_bytes, kind, header_bytes=member.offset_data - member.offset))
    if kind == "folder":
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if twin:
        link_or_copy(twin, path)
        return
    source = file.extractfile(member)
    assert source is not None
    write_stream(str(path), source, member.size)


def _require_consistent(file: tarfile.TarFile, member: tarfile.TarInfo, checker: EntryChecker) -> None:
    """Refuse a file whose declared size differs from its stored size, as pax headers can make it."""
    # tarfile continues there with the next header
    stored_bytes = file.offset - member.offset_data
    if member.issparse() or (
        member.isreg() and stored_bytes != -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    ):
        checker.refuse(f"declares two sizes for {member.name[:60]!r}", "repack it, without sparse files")
    if sum(len(key) + len(value) for key, value in file.pax_headers.items()) > LONGEST_HEADER_BYTES:
        checker.refuse(f"has global headers of more than {LONGEST_HEADER_BYTES} bytes", "repack it")


def _kind_of(member: tarfile.TarInfo) -> Kind:
    if member.isdir():
        return "folder"
    if member.issym():
        return "link"
    return "file" if member.isreg() else "device"


def _require_end(stream: Stream, checker: EntryChecker) -> None:
    """Read to the end of the file: a compressed stream is verified only there."""
    tail = 0
    while chunk := stream.read(CHUNK_BYTES):
        tail += len(chunk)
        if tail > LONGEST_TAIL_BYTES:
            checker.refuse("continues after its end", "it is damaged or malicious")
