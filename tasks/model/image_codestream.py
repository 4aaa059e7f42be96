"""Memory that OpenJPEG allocates from the parameters of a JPEG 2000 codestream (ISO/IEC 15444-1, annex A).

Precincts and code-blocks are allocated as claimed, whether there is data for them or not.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

CODESTREAM = b"\xff\x4f\xff\x51"
CODING, COMPONENT_CODING, TILE_PART, START_OF_DATA, END = 0xFF52, 0xFF53, 0xFF90, 0xFF93, 0xFFD9
# All markers known to OpenJPEG. After an unknown one it searches for the next, also inside what is skipped here.
KNOWN = (
    *(CODING, COMPONENT_CODING, TILE_PART, START_OF_DATA, END),
    *(0xFF50, 0xFF51, 0xFF55, 0xFF57, 0xFF58, 0xFF59, 0xFF5C, 0xFF5D, 0xFF5E, 0xFF5F),
    *(0xFF60, 0xFF61, 0xFF63, 0xFF64, 0xFF74, 0xFF75, 0xFF77, 0xFF78),
)
# segments, chunks or bytes between them that are read one by one, here and by Pillow: at most a second of work
MAX_PARTS = 200_000

# measured bytes: per tile, per component of a tile, per precinct in one band, per code-block
TILE_BYTES, COMPONENT_BYTES, PRECINCT_BYTES, BLOCK_BYTES = 6_000, 1_200, 300, 500
# per layer of a precinct, in the packet iterator
LAYER_BYTES = 2


@dataclass(frozen=True)
class Coding:
    """Coding of a component: log2 of the code-blocks' sides, and of the precincts' sides for each resolution."""

    layers: int
    block: tuple[int, int]
    precincts: Sequence[tuple[int, int]]


def codestream_bytes(file: BinaryIO) -> int:
    """Bytes that a decoder takes in addition to the pixels; the file must be positioned at the codestream's start.

    Raises ValueError or IndexError if it is damaged.
    """
    start = file.tell()
    file.seek(start + len(CODESTREAM) + 4)
    right, bottom, _, _, width, height, left, top = (int.from_bytes(file.read(4)) for _ in range(8))
    components = int.from_bytes(file.read(2))
    width, height = min(max(width, 1), right - left), min(max(height, 1), bottom - top)
    if width < 1 or height < 1:
        raise ValueError("a JPEG 2000 image without pixels")
    tiles = -(-(right - left) // width) * -(-(bottom - top) // height)
    # tiles are decoded one after the other; any of them may have the most expensive coding
    coding = max((_coding_bytes(coding, width, height) for coding in _codings(file, start, components)), default=0)
    return tiles * (TILE_BYTES + COMPONENT_BYTES * components) + components * coding


def _coding_bytes(coding: Coding, width: int, height: int) -> int:
    """Bytes for one component of one tile."""
    total = 0
    levels = len(coding.precincts) - 1
    for resolution, precinct in enumerate(coding.precincts):
        scale = levels - resolution
        sides = -(-width >> scale), -(-height >> scale)
        # the lowest resolution is one band, each other three bands of half its size
        bands, half = (1, 0) if resolution == 0 else (3, 1)
        precincts, blocks = 1, 1
        for side, exponent, block in zip(sides, precinct, coding.block, strict=True):
            # the grid is not aligned to the tile, so there may be one more
            precincts *= (side >> exponent) + 2
            blocks *= (side >> half >> min(block, max(exponent - half, 0))) + 2
        total += bands * (precincts * PRECINCT_BYTES + blocks * BLOCK_BYTES) + precincts * coding.layers * LAYER_BYTES
    return total


def _codings(file: BinaryIO, start: int, components: int) -> Iterator[Coding]:
    """The codings in the main header and in all tile-parts."""
    layers = 1
    for marker, content in _segments(file, start):
        if marker == CODING:
            layers = int.from_bytes(content[2:4])
            yield _coding(content[0], content[5:], layers)
        elif marker == COMPONENT_CODING:
            content = content[1 if components < 257 else 2 :]
            yield _coding(content[0], content[1:], layers)


def _coding(style: int, content: bytes, layers: int) -> Coding:
    levels, *block = content[:3]
    sizes = content[5 : 6 + levels] if style & 1 else bytes([0xFF] * (levels + 1))
    if len(block) < 2 or levels > 32 or len(sizes) < levels + 1:
        raise ValueError("a JPEG 2000 image with damaged coding parameters")
    return Coding(layers, (block[0] + 2, block[1] + 2), [(size & 15, size >> 4) for size in sizes])


def _segments(file: BinaryIO, start: int) -> Iterator[tuple[int, bytes]]:
    """Markers and contents of all headers; raises ValueError for too many, and for unknown ones."""
    position, part, size = start + 2, 0, file.seek(0, os.SEEK_END)
    for _ in parts():
        file.seek(position)
        marker = int.from_bytes(file.read(2))
        if marker == END or position >= size:
            return
        if marker not in KNOWN:
            raise ValueError(f"a JPEG 2000 image with the unknown marker {marker:#06x}")
        if marker == START_OF_DATA:
            # a part without a length is the last one
            if not part:
                return
            position, part = part, 0
            continue
        content = file.read(max(int.from_bytes(file.read(2)) - 2, 0))
        if marker == TILE_PART:
            length = int.from_bytes(content[2:6])
            part = position + length if length else 0
            if 0 < length < 14:
                raise ValueError("a JPEG 2000 image with a part without a length")
        position += 4 + len(content)
        yield marker, content


def parts() -> Iterator[int]:
    """Count the parts that are read of an image; raises ValueError after MAX_PARTS."""
    yield from range(MAX_PARTS)
    raise ValueError(f"more than {MAX_PARTS:,} parts")
