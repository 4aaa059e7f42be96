import io
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.files import encoded

from tasks.data.checked_images import check_images
from tasks.data.image_checks import EMPTY, MISSING, OTHER_KIND, TOO_LARGE, UNREADABLE, image_report

FOLDER = "NWPU/NWPU_images/a"


def sixteen_bits(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(4800, dtype=np.uint16).reshape(60, 80) * 13).save(buffer, kind)
    return buffer.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded("JPEG", exif=exif)


JPEG, PNG, TIFF = encoded("JPEG"), encoded("PNG"), encoded("TIFF")
BMP, GIF, WEBP, JP2 = encoded("BMP"), encoded("GIF"), encoded("WEBP"), encoded("JPEG2000")


def cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def changed(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes([data[offset] ^ 0xFF]) + data[offset + 1 :]


def png_of(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG[:8] + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + PNG[33:]


def tiff_with_strips_at(offset: int) -> bytes:
    """A TIFF whose entry 273, StripOffsets, points elsewhere."""
    buffer = io.BytesIO()
    Image.new("L", (9, 9)).save(buffer, "TIFF")
    data = bytearray(buffer.getvalue())
    start = int.from_bytes(data[4:8], "little")
    for entry in range(start + 2, start + 2 + 12 * int.from_bytes(data[start : start + 2], "little"), 12):
        if int.from_bytes(data[entry : entry + 2], "little") == 273:
            data[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, offset)
    return bytes(data)


BROKEN = {
    "cut_at_a_tenth.jpg": cut(JPEG, 0.1),
    "cut_in_the_middle.jpg": cut(JPEG, 0.5),
    "without_end.jpg": JPEG[:-2],
    "zeros_at_the_end.jpg": JPEG[: len(JPEG) * 2 // 3] + bytes(len(JPEG) // 3),
    "signature_only.jpg": JPEG[:4],
    "without_header.jpg": JPEG[20:],
    "progressive_cut.jpg": cut(encoded("JPEG", progressive=True), 0.7),
    "cut_at_a_tenth.png": cut(PNG, 0.1),
    "cut_in_the_middle.png": cut(PNG, 0.5),
    "cut_near_the_end.png": PNG[:-30],
    "changed_pixel.png": changed(PNG, len(PNG) // 2),
    "changed_header.png": changed(PNG, 20),
    "changed_checksum.png": changed(PNG, PNG.index(b"IDAT") - 8),
    "signature_only.png": PNG[:8],
    "cut.tif": cut(TIFF, 0.5),
    "compressed_and_cut.tif": cut(encoded("TIFF", compression="tiff_lzw"), 0.6),
    "directory_outside.tif": TIFF[:4] + b"\xff\xff\xff\x7f" + TIFF[8:],
    "strips_outside.tif": tiff_with_strips_at(0x7FFFFFF0),
    "cut.gif": cut(GIF, 0.5),
    "without_frames.gif": b"GIF89a" + struct.pack("<HHBBB", 80, 60, 0, 0, 0) + b";",
    "cut.bmp": cut(BMP, 0.5),
    "header_only.bmp": BMP[:54],
    "cut.webp": cut(WEBP, 0.5),
    "cut.jp2": cut(JP2, 0.3),
    "text.jpg": b"no image",
    "page.jpg": b"<!doctype html><html>sign in</html>",
    "document.jpg": b"%PDF-1.7\n1 0 obj\n",
    "archive.jpg": b"PK\x03\x04" + bytes(60),
    "zeros.jpg": bytes(5000),
    "noise.png": np.random.default_rng(1).bytes(5000),
    "pointer.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "error.tif": b'{"error": "not found"}',
}
HUGE = {
    "huge.png": png_of(60_000, 60_000),
    "huge.bmp": BMP[:18] + struct.pack("<ii", 30_000, 30_000) + BMP[26:],
    "huge.gif": GIF[:6] + struct.pack("<HH", 65_000, 65_000) + GIF[10:],
}
WHOLE = {
    "plain.jpg": JPEG,
    "progressive.jpg": encoded("JPEG", progressive=True),
    "grey.jpg": encoded("JPEG", "L"),
    "cmyk.jpg": encoded("JPEG", "CMYK"),
    "turned.jpg": turned(),
    "words_behind_the_end.jpg": JPEG + b"camera" * 20,
    "plain.png": PNG,
    "sixteen_bits.png": sixteen_bits("PNG"),
    "palette.png": encoded("PNG", "P"),
    "palette_and_transparent.png": encoded("PNG", "P", transparency=0),
    "one_bit.png": encoded("PNG", "1"),
    "alpha.png": encoded("PNG", "RGBA"),
    "plain.tif": TIFF,
    "sixteen_bits.tif": sixteen_bits("TIFF"),
    "alpha.tif": encoded("TIFF", "RGBA"),
    "compressed.tif": encoded("TIFF", compression="tiff_lzw"),
    "plain.gif": GIF,
    "plain.bmp": BMP,
    "plain.webp": WEBP,
    "plain.jp2": JP2,
}


@pytest.fixture
def report_on(as_nobody: Callable[[], AbstractContextManager[None]]) -> Callable[..., dict]:
    """A function that reports on images with two records each."""

    def report(images: Path, names: list[str], with_hash: bool = True) -> dict:
        records = [
            {"id": f"{copy} {name}", "image": f"{FOLDER}/{name}", "conversations": []}
            for name in names
            for copy in "ab"
        ]
        with as_nobody():
            states = check_images(images, [f"{FOLDER}/{name}" for name in names], with_hash)
        return image_report(images, records, states, [FOLDER])

    return report


@pytest.fixture
def images() -> Iterator[Path]:
    """A folder that any user may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        Path(root, FOLDER).mkdir(parents=True)
        yield Path(root)


@pytest.fixture
def folder(images) -> Path:
    return images / FOLDER


def plant(folder: Path) -> dict[str, str]:
    """Write an image with each kind of damage into a folder; returns the expected fault by name."""
    for name, data in {**BROKEN, **HUGE}.items():
        (folder / name).write_bytes(data)
    (folder / "empty.jpg").touch()
    (folder / "locked.jpg").write_bytes(JPEG)
    (folder / "locked.jpg").chmod(0)
    (folder / "link_to_nothing.jpg").symlink_to(folder / "nothing")
    (folder / "link_to_itself.jpg").symlink_to(folder / "link_to_itself.jpg")
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    return {
        **dict.fromkeys(BROKEN, UNREADABLE),
        **dict.fromkeys(HUGE, TOO_LARGE),
        "empty.jpg": EMPTY,
        "locked.jpg": UNREADABLE,
        "link_to_nothing.jpg": MISSING,
        "link_to_itself.jpg": UNREADABLE,
        "folder.jpg": MISSING,
        "pipe.jpg": UNREADABLE,
        "missing.jpg": MISSING,
        "x" * 300 + ".jpg": UNREADABLE,
        "plain.jpg/below_a_file.jpg": MISSING,
    }


@pytest.mark.parametrize("with_hash", [False, True])
def test_report_lists_exactly_the_broken_images_with_reason_and_records(images, folder, with_hash, report_on):
    for name, data in WHOLE.items():
        (folder / name).write_bytes(data)
    expected = plant(folder)
    report = report_on(images, [*expected, *WHOLE], with_hash)
    faults = {Path(row["image"]).relative_to(FOLDER).as_posix(): row for row in report["faults"]}
    assert {name: row["reason"] for name, row in faults.items()} == expected
    assert all(row["records"] == [f"a {name}", f"b {name}"] for name, row in faults.items())
    assert len(expected) >= 30 and report["images"] == len(expected) + len(WHOLE)
    assert report["noticed"] == []


def test_image_with_a_wrong_suffix_is_noted_and_usable(images, folder, report_on):
    (folder / "a.jpg").write_bytes(PNG)
    report = report_on(images, ["a.jpg"])
    assert report["faults"] == []
    assert report["noticed"] == [{"image": f"{FOLDER}/a.jpg", "what": OTHER_KIND, "kind": "PNG"}]


def test_report_lists_unreferenced_files(images, folder, report_on):
    for name in ("a.jpg", "b.jpg", "notes.txt"):
        (folder / name).write_bytes(JPEG)
    assert report_on(images, ["a.jpg"])["unreferenced"] == [f"{FOLDER}/b.jpg", f"{FOLDER}/notes.txt"]
