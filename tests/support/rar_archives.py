"""Rar archives that no tool writes, built byte by byte."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SIGNATURE = b"Rar!\x1a\x07\x01\x00"
MAIN, FILE, END = 1, 2, 5


@dataclass(frozen=True)
class RarEntry:
    """A stored entry of a rar 5 archive."""

    name: str
    data: bytes = b""
    link: str | None = None
    link_kind: int = 1
    encrypted: bool = False
    crc: int | None = None
    mode: int = 0o100644
    declared: int | None = None


def vint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def block(kind: int, flags: int, body: bytes) -> bytes:
    content = vint(kind) + vint(flags) + body
    sized = vint(len(content)) + content
    return struct.pack("<I", zlib.crc32(sized)) + sized


def record(kind: int, body: bytes) -> bytes:
    content = vint(kind) + body
    return vint(len(content)) + content


def file_block(entry: RarEntry) -> bytes:
    extra = b""
    if entry.link is not None:
        extra += record(5, vint(entry.link_kind) + vint(0) + vint(len(entry.link)) + entry.link.encode())
    if entry.encrypted:
        extra += record(1, vint(0) + vint(0) + b"\x0f" + bytes(32))
    size = len(entry.data) if entry.declared is None else entry.declared
    crc = zlib.crc32(entry.data) if entry.crc is None else entry.crc
    name = entry.name.encode()
    header = vint(len(extra)) if extra else b""
    header += vint(len(entry.data)) + vint(4) + vint(size) + vint(entry.mode) + struct.pack("<I", crc)
    header += vint(0) + vint(1) + vint(len(name)) + name + extra
    return block(FILE, 2 | bool(extra), header) + entry.data


def rar_bytes(entries: Sequence[RarEntry]) -> bytes:
    """The bytes of a rar 5 archive of stored entries."""
    return SIGNATURE + b"".join([block(MAIN, 0, vint(0)), *map(file_block, entries), block(END, 4, vint(0))])


def write_rar(path: Path, entries: Sequence[RarEntry]) -> Path:
    """Write a rar 5 archive of stored entries; returns its path."""
    path.write_bytes(rar_bytes(entries))
    return path
