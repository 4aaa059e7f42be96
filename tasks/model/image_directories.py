"""Memory needed for the directories of a TIFF or of EXIF data: Pillow unpacks everything that they refer to.

A directory may refer to the same megabytes in each of its 65,535 entries, and a tile may be larger than its image.
"""

import io
from dataclasses import dataclass
from typing import BinaryIO, Literal

TIFF = (b"MM\x00\x2a", b"II\x2a\x00", b"MM\x2a\x00", b"II\x00\x2a", b"MM\x00\x2b", b"II\x2b\x00")
EXIF = b"Exif\x00\x00"

# type code of a value: its size in bytes
UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
TEXTS = (1, 2, 6, 7)
# memory that Pillow takes for a number
NUMBER_BYTES = 16
WIDTH, HEIGHT, BITS, COMPRESSION, SAMPLES, ROWS, TILE_WIDTH, TILE_HEIGHT = 256, 257, 258, 259, 277, 278, 322, 323
EXIF_DIRECTORY, GPS_DIRECTORY, INTEROP_DIRECTORY = 34665, 34853, 40965
UNCOMPRESSED, JPEG_IN_TIFF, LZMA, ZSTD = 1, (6, 7), 34925, 50000
ZSTD_WINDOW = 1 << 27


@dataclass(frozen=True)
class Layout:
    """The byte order of a file, and whether it is a BigTIFF."""

    order: Literal["big", "little"]
    wide: bool

    def number(self, data: bytes) -> int:
        """Decode an unsigned integer."""
        return int.from_bytes(data, self.order)


def exif_bytes(exif: bytes) -> int:
    """Bytes that Pillow unpacks from EXIF data; 0 if it is not EXIF data."""
    while exif.startswith(EXIF):
        exif = exif[len(EXIF) :]
    return _directories(io.BytesIO(exif))[0] if exif.startswith(TIFF) else 0


def tiff_bytes(file: BinaryIO) -> tuple[int, int]:
    """Bytes unpacked from a TIFF's directories, and bytes for its largest strip or tile (0 if uncompressed).

    Raises ValueError for LZMA, whose dictionary may take 4 GB.
    """
    unpacked, tags = _directories(file)
    if TILE_WIDTH in tags:
        pixels = tags[TILE_WIDTH] * tags.get(TILE_HEIGHT, 0)
    else:
        pixels = tags.get(WIDTH, 0) * min(tags.get(ROWS, 1 << 32), tags.get(HEIGHT, 0))
    compression = tags.get(COMPRESSION, 1)
    if compression == LZMA:
        raise ValueError("LZMA in a TIFF is not read, deflate and LZW are")
    if compression == UNCOMPRESSED:
        # read row by row
        return unpacked, 0
    pixel_bytes = max(1, tags.get(BITS, 1) * tags.get(SAMPLES, 1) // 8)
    # a JPEG's coefficients take twice its samples, and colour conversion four bytes more
    block = pixels * (3 * pixel_bytes + 4 if compression in JPEG_IN_TIFF else pixel_bytes)
    return unpacked, block + (ZSTD_WINDOW if compression == ZSTD else 0)


def _directories(file: BinaryIO) -> tuple[int, dict[int, int]]:
    """Bytes unpacked from the first directory and its subdirectories, and the largest first value of each tag."""
    file.seek(0)
    head = file.read(16)
    layout = Layout("big" if head.startswith(b"MM") else "little", head[2] == 43)
    total, tags = _directory(file, layout.number(head[8:16] if layout.wide else head[4:8]), layout)
    below = [tags[tag] for tag in (EXIF_DIRECTORY, GPS_DIRECTORY, INTEROP_DIRECTORY) if tag in tags]
    for start in below:
        total += _directory(file, start, layout)[0]
    return total, tags


def _directory(file: BinaryIO, start: int, layout: Layout) -> tuple[int, dict[int, int]]:
    word, counted, length = (8, 8, 20) if layout.wide else (4, 2, 12)
    file.seek(start)
    entries = file.read(min(layout.number(file.read(counted)), 1 << 16) * length)
    total, tags = len(entries), dict[int, int]()
    for at in range(0, len(entries) - length + 1, length):
        tag, kind = layout.number(entries[at : at + 2]), layout.number(entries[at + 2 : at + 4])
        count, value = layout.number(entries[at + 4 : at + 4 + word]), entries[at + 4 + word : at + length]
        unit = UNITS.get(kind, 0)
        total += count * (unit if kind in TEXTS or not unit else NUMBER_BYTES)
        if unit * count > word:
            file.seek(layout.number(value))
            value = file.read(unit)
        if unit and count:
            tags[tag] = max(tags.get(tag, 0), layout.number(value[:unit]))
    return total, tags
