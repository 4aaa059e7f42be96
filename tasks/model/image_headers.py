"""The memory that merely opening an image takes, computed from its header with a few kilobytes of memory.

On opening a file, Pillow unpacks metadata, and decoders of WebP and JPEG 2000 allocate what the header claims.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from tasks.model.image_codestream import CODESTREAM, codestream_bytes, parts
from tasks.model.image_directories import EXIF, TIFF, exif_bytes, tiff_bytes

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
APP1, APP2, START_OF_SCAN = 0xFFE1, 0xFFE2, 0xFFDA
JP2 = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
GIF = (b"GIF87a", b"GIF89a")
EXTENSION, IMAGE = 0x21, 0x2C

# Pillow copies all comments of a GIF again for each block
GIF_EXTENSION_BYTES = 500_000


@dataclass(frozen=True)
class Header:
    """Sizes in bytes: unpacked metadata, memory taken on opening the decoder, and the largest strip or tile."""

    metadata: int = 0
    opening: int = 0
    block: int = 0


def header_of(file: BinaryIO) -> Header:
    """Read the header of an image file; raises ValueError, OSError or IndexError if it is damaged."""
    file.seek(0)
    head = file.read(32)
    if head.startswith(PNG):
        return Header(metadata=_png_metadata(file))
    if head.startswith(JPEG):
        return Header(metadata=_jpeg_metadata(file))
    if head.startswith(TIFF):
        metadata, block = tiff_bytes(file)
        return Header(metadata, block=block)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        width, height = _webp_size(head)
        return Header(opening=8 * width * height)
    if head.startswith((JP2, CODESTREAM)):
        file.seek(_codestream(file))
        return Header(opening=codestream_bytes(file))
    if head.startswith(GIF):
        _require_short_extensions(file, head[10])
    return Header()


def _png_metadata(file: BinaryIO) -> int:
    total, size = 0, file.seek(0, os.SEEK_END)
    position = len(PNG)
    for _ in parts():
        if position >= size:
            break
        file.seek(position)
        head = file.read(8)
        length = int.from_bytes(head[:4])
        if head[4:] != b"IDAT":
            total += length
        if head[4:] == b"eXIf":
            total += exif_bytes(file.read(length))
        position += 12 + length
    return total


def _jpeg_metadata(file: BinaryIO) -> int:
    total, exif, index = 0, b"", b""
    for marker, content in _jpeg_segments(file):
        total += len(content)
        # Pillow joins several segments
        if marker == APP1 and content.startswith(EXIF):
            exif += content[len(EXIF) :]
        if marker == APP2 and content.startswith(b"MPF\x00"):
            index = content[4:]
    return total + exif_bytes(exif) + exif_bytes(index)


def _jpeg_segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Markers and contents up to the first scan, searched exactly as Pillow searches, so that none is missed."""
    from PIL.JpegImagePlugin import MARKER

    file.seek(2)
    before, count = 0, parts()
    while byte := file.read(1):
        next(count)
        before, marker = byte[0], before * 256 + byte[0]
        if marker < 0xFF00 or marker == 0xFFFF:
            continue
        before = 0
        if marker == START_OF_SCAN:
            return
        if marker in MARKER and MARKER[marker][2] is not None:
            yield marker, file.read(max(0, int.from_bytes(file.read(2)) - 2))


def _require_short_extensions(file: BinaryIO, flags: int) -> None:
    """Raise ValueError if too many bytes precede a GIF's first image."""
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    limit = position + GIF_EXTENSION_BYTES
    file.seek(position)
    while (kind := file.read(1)) and kind[0] != IMAGE:
        if kind[0] == EXTENSION:
            file.read(1)
            while length := file.read(1)[0]:
                file.seek(length, os.SEEK_CUR)
        if file.tell() > limit:
            raise ValueError(f"more than {GIF_EXTENSION_BYTES:,} bytes before the first image of a GIF")


def _webp_size(head: bytes) -> tuple[int, int]:
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF


def _codestream(file: BinaryIO) -> int:
    """The offset of the codestream in a JP2 file."""
    position = 0
    file.seek(position)
    head = file.read(16)
    while not head.startswith(CODESTREAM):
        length = int.from_bytes(head[8:16]) if head[:4] == b"\x00\x00\x00\x01" else int.from_bytes(head[:4])
        if head[4:8] == b"jp2c":
            return position + (16 if head[:4] == b"\x00\x00\x00\x01" else 8)
        if length < 8:
            raise ValueError("a JPEG 2000 box without a length")
        position += length
        file.seek(position)
        head = file.read(16)
    return position
