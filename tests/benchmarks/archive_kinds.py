"""Valid archives of each kind, and how the checksums of a changed one are made right again."""

import bz2
import gzip
import io
import lzma
import runpy
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import py7zr
from backports import zstd

FILES = {
    "set/a/1.jpg": bytes(range(256)) * 20,
    "set/b/2.jpg": b"two" * 400,
    "set/empty.txt": b"",
    f"set/{'l' * 150}.jpg": b"x" * 700,
}
TWIN = {"set/twin.jpg": FILES["set/a/1.jpg"]}
HEADER_7Z = 32
RAR = runpy.run_path(str(Path(__file__).resolve().parents[1] / "support" / "rar_archives.py"))
Mutate = Callable[[bytes], bytes]


def make_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.mkdir("set")
        for name, data in FILES.items():
            file.writestr(name, data)
    return buffer.getvalue()


def make_tar(form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as file:
        for name, data in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("set/twin.jpg")
        link.type, link.linkname = tarfile.LNKTYPE, "set/a/1.jpg"
        file.addfile(link)
    return buffer.getvalue()


def make_7z() -> bytes:
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w") as file:
        file.set_encoded_header_mode(False)
        for name, data in FILES.items():
            file.writestr(data, name)
    return buffer.getvalue()


def make_rar() -> bytes:
    return bytes(RAR["rar_bytes"]([RAR["RarEntry"](name, data) for name, data in FILES.items()]))


def with_tar_sums(whole: bytes) -> bytes:
    """Make each block that may be a header one whose sum is right."""
    out = bytearray(whole)
    for start in range(0, len(out) - 511, 512):
        if out[start + 257 : start + 262] == b"ustar":
            out[start + 148 : start + 156] = b" " * 8
            out[start + 148 : start + 156] = b"%06o\0 " % sum(out[start : start + 512])
    return bytes(out)


def with_7z_sums(whole: bytes) -> bytes:
    if len(whole) < HEADER_7Z:
        return whole
    offset, size = struct.unpack("<QQ", whole[12:28])
    # what was cut out or put in has moved the header
    size = min(size, max(len(whole) - HEADER_7Z - offset, 0))
    inner = whole[HEADER_7Z + offset : HEADER_7Z + offset + size]
    start = struct.pack("<QQI", offset, size, zlib.crc32(inner))
    return whole[:8] + struct.pack("<I", zlib.crc32(start)) + start + whole[HEADER_7Z:]


def with_rar_sums(whole: bytes) -> bytes:
    """Walk over the blocks as they declare themselves, and make the sum of each header right."""
    out, at = bytearray(whole), len(RAR["SIGNATURE"])
    while at + 7 < len(out):
        size, used = vint_at(out, at + 4)
        end = at + 4 + used + size
        header = out[at + 4 : end]
        out[at : at + 4] = struct.pack("<I", zlib.crc32(header))
        # kind, flags, extra, data: the data size is included if the flags say so
        numbers, place = [], at + 4 + used
        for _ in range(4):
            number, used = vint_at(out, place)
            numbers.append(number)
            place += used
        flags = numbers[1]
        at = end + (numbers[3 if flags & 1 else 2] if flags & 2 else 0)
    return bytes(out)


def vint_at(data: bytearray, place: int) -> tuple[int, int]:
    number = used = 0
    for byte in data[place : place + 10]:
        number |= (byte & 0x7F) << 7 * used
        used += 1
        if byte < 0x80:
            break
    return number, used


@dataclass(frozen=True)
class Kind:
    """A valid archive, what is in it, how its checksums are made right, and how it is packed.

    `proven` where the content itself has a checksum.
    """

    whole: bytes
    files: Mapping[str, bytes]
    repaired: Mutate | None = None
    packed: Mutate | None = None
    proven: bool = True


def zstd_packed(whole: bytes) -> bytes:
    return zstd.compress(whole, options={zstd.CompressionParameter.checksum_flag: 1})


GNU, PAX = make_tar(tarfile.GNU_FORMAT), make_tar(tarfile.PAX_FORMAT)
KINDS = {
    "zip": Kind(make_zip(), FILES),
    "tar": Kind(PAX, FILES | TWIN, with_tar_sums, proven=False),
    "tar of gnu": Kind(GNU, FILES | TWIN, with_tar_sums, proven=False),
    "tar.gz": Kind(PAX, FILES | TWIN, with_tar_sums, gzip.compress),
    "tar.bz2": Kind(GNU, FILES | TWIN, with_tar_sums, bz2.compress),
    "tar.xz": Kind(PAX, FILES | TWIN, with_tar_sums, lzma.compress),
    "tar.zst": Kind(GNU, FILES | TWIN, with_tar_sums, zstd_packed),
    "7z": Kind(make_7z(), FILES, with_7z_sums),
    "rar": Kind(make_rar(), FILES, with_rar_sums),
}
