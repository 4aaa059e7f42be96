"""What an image's header makes a decoder hold before its size can be asked: read by hand, within a few kilobytes.

Metadata is unpacked, and decoders of WebP and JPEG 2000 take memory for what is claimed, as soon as a file is opened.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from tasks.model.image_directories import EXIF, TIFF, exif_bytes, tiff_bytes

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
APP1, APP2, START_OF_SCAN = 0xFFE1, 0xFFE2, 0xFFDA
JP2 = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
CODESTREAM = b"\xff\x4f\xff\x51"

# what is taken for a tile of JPEG 2000 and for each of its components, whether it is there or not
TILE_BYTES, COMPONENT_BYTES = 6_000, 1_200


@dataclass(frozen=True)
class Header:
    """Bytes: of metadata that is unpacked, taken when a decoder is opened, and of the largest strip or tile."""

    metadata: int = 0
    opening: int = 0
    block: int = 0


def header_of(file: BinaryIO) -> Header:
    """Look at the start of an image file; raises ValueError, OSError or IndexError where it is damaged."""
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
        return Header(opening=_jpeg2000_tiles(file))
    return Header()


def _png_metadata(file: BinaryIO) -> int:
    total, size = 0, file.seek(0, os.SEEK_END)
    position = len(PNG)
    while position < size:
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
        # several segments are joined
        if marker == APP1 and content.startswith(EXIF):
            exif += content[len(EXIF) :]
        if marker == APP2 and content.startswith(b"MPF\x00"):
            index = content[4:]
    return total + exif_bytes(exif) + exif_bytes(index)


def _jpeg_segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Markers and contents up to the first scan, found as Pillow finds them: it is to see nothing that is not seen."""
    from PIL.JpegImagePlugin import MARKER

    file.seek(2)
    before = 0
    while byte := file.read(1):
        before, marker = byte[0], before * 256 + byte[0]
        if marker < 0xFF00 or marker == 0xFFFF:
            continue
        before = 0
        if marker == START_OF_SCAN:
            return
        if marker in MARKER and MARKER[marker][2] is not None:
            yield marker, file.read(max(0, int.from_bytes(file.read(2)) - 2))


def _webp_size(head: bytes) -> tuple[int, int]:
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF


def _jpeg2000_tiles(file: BinaryIO) -> int:
    """What all tiles take that the codestream's first marker claims."""
    file.seek(_codestream(file) + len(CODESTREAM) + 4)
    right, bottom, _, _, width, height, left, top = (int.from_bytes(file.read(4)) for _ in range(8))
    components = int.from_bytes(file.read(2))
    tiles = -(-(right - left) // max(width, 1)) * -(-(bottom - top) // max(height, 1))
    return tiles * (TILE_BYTES + COMPONENT_BYTES * components)


def _codestream(file: BinaryIO) -> int:
    position = 0
    file.seek(position)
    head = file.read(16)
    while not head.startswith(CODESTREAM):
        length = int.from_bytes(head[8:16]) if head[:4] == b"\x00\x00\x00\x01" else int.from_bytes(head[:4])
        if head[4:8] == b"jp2c":
            return position + (16 if head[:4] == b"\x00\x00\x00\x01" else 8)
        if length < 8:
            raise ValueError("a box of JPEG 2000 without a length")
        position += length
        file.seek(position)
        head = file.read(16)
    return position
