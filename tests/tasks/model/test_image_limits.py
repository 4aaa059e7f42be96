"""Images that are small in bytes or pixels and huge in memory: refused, or read, padded and scaled within 600 MB."""

import io
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

REFUSED, READ = "refused", "read"
CODESTREAM = b"\xff\x4f\xff\x51"
# the smallest precincts there are, for six resolutions
PRECINCTS = b"\x00" + b"\x11" * 5
LIMIT_BYTES = 600_000_000
# Each image in a process of its own, as Python gives memory back as it likes: forked, as importing torch takes seconds.
CHILD = """
import json, os, resource, sys
from pathlib import Path
import numpy, torch
from tasks.errors import DataError
from tasks.data.image_checks import check_image
from tasks.model.images import pixels_of, read_image
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

def memory(name):
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[name].split()[0]) * 1024

def answer(path, pads):
    side = {"height": 336, "width": 336}
    processor = LlavaImageProcessorPil(size={"shortest_edge": 336}, crop_size=side, do_pad=pads)
    try:
        return ["read", list(pixels_of(read_image(Path(path)), processor).shape)]
    except DataError as error:
        return ["refused", str(error)]

def bounded(work):
    sys.stdout.flush()
    reading, writing = os.pipe()
    if not (child := os.fork()):
        used = memory("VmSize")
        resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]),) * 2)
        try:
            found = work()
        except BaseException as error:
            found = ["failed", repr(error)]
        os.write(writing, json.dumps([found, memory("VmPeak") - used]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        said = file.read()
    assert os.waitpid(child, 0)[1] == 0
    return json.loads(said)

answer(sys.argv[2], True), check_image(sys.argv[2], True)
for path in map(str.strip, sys.stdin):
    tries = [lambda: answer(path, True), lambda: answer(path, False), lambda: check_image(path, False).fault]
    print(json.dumps([bounded(work) for work in [*tries, lambda: check_image(path, True).fault]]), flush=True)
"""


def plain(mode: str, size: tuple[int, int], kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind, **options)
    return buffer.getvalue()


def noisy(size: tuple[int, int], kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(28).integers(0, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize(size).save(buffer, kind, **options)
    return buffer.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def with_text(length: int) -> bytes:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("note", "x" * length, zip=True)
    return plain("RGB", (64, 64), "PNG", pnginfo=notes)


def turned(size: tuple[int, int]) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return plain("RGB", size, "JPEG", exif=exif)


def frames(kind: str) -> bytes:
    buffer = io.BytesIO()
    pictures = [Image.new("RGB", (2000, 2000), (number, 0, 0)) for number in range(8)]
    pictures[0].save(buffer, kind, save_all=True, append_images=pictures[1:])
    return buffer.getvalue()


def directory(entries: int, values: int, kind: int = 3, extra: Sequence[tuple[int, int]] = ()) -> bytes:
    """A TIFF whose directory refers to the same values repeatedly."""
    rows = [(tag, 4, 1, value) for tag, value in extra]
    rows += [(40_000 + number, kind, values, 8) for number in range(entries)]
    unit = {1: 1, 3: 2}[kind]
    data = bytes(values * unit)
    packed = b"".join(struct.pack("<HHII", *row) for row in sorted(rows))
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(rows)) + packed + bytes(4)


def tiff(entries: int = 0, values: int = 8, **tags: int) -> bytes:
    known = {"width": 256, "height": 257, "bits": 258, "compression": 259, "colours": 262, "strip": 273}
    known |= {"samples": 277, "rows": 278, "strip_bytes": 279, "tile_width": 322, "tile_height": 323, "tile": 324}
    given = {"width": 10, "height": 10, "bits": 8, "compression": 1, "colours": 1, "samples": 1, **tags}
    return directory(entries, values, extra=[(known[name], value) for name, value in given.items()])


def jpeg_with(*segments: tuple[int, bytes]) -> bytes:
    data = plain("RGB", (64, 64), "JPEG")
    packed = b"".join(struct.pack(">BBH", 0xFF, mark, len(content) + 2) + content for mark, content in segments)
    # without JFIF's resolution, which Pillow then looks for in the EXIF data
    return data[:2] + packed + data[20:]


def exif_in_segments() -> bytes:
    exif = directory(4000, 500_000, 1)
    parts = [exif[start : start + 65_000] for start in range(0, len(exif), 65_000)]
    return jpeg_with(*((0xE1, b"Exif\0\0" + part) for part in parts))


def png_with_exif() -> bytes:
    return plain("RGB", (64, 64), "PNG", exif=directory(4000, 1_000_000, 1))


def webp_with_exif() -> bytes:
    return plain("RGB", (64, 64), "WEBP", exif=b"Exif\0\0" + directory(4000, 1_000_000, 1))


def webp_that_claims(width: int, height: int) -> bytes:
    data = bytearray(frames("WEBP"))
    data[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes(data)


def jpeg2000_with(width: int, height: int, tile: int, mode: str = "RGB", **options: object) -> bytes:
    """JPEG 2000 whose codestream claims a size and tiles that it does not have."""
    data = bytearray(plain(mode, (64, 64), "JPEG2000", **options))
    at = data.index(CODESTREAM) + 8
    data[at : at + 32] = struct.pack(">8I", width, height, 0, 0, tile, tile, 0, 0)
    return bytes(data)


def coded(side: int, precincts: bytes = b"", block: int = 4, layers: int = 1, in_part: bool = False) -> bytes:
    """JPEG 2000 in one tile with other coding parameters, in the main header or a tile-part's."""
    data = jpeg2000_with(side, side, side, "L", no_jp2=True)
    at, part = data.index(b"\xff\x52"), data.index(b"\xff\x90")
    style = bytes([bool(precincts), 0]) + layers.to_bytes(2)
    sides = bytes([block.bit_length() - 3] * 2)
    segment = style + data[at + 8 : at + 10] + sides + data[at + 12 : at + 14] + precincts
    segment = b"\xff\x52" + (len(segment) + 2).to_bytes(2) + segment
    if not in_part:
        return data[:at] + segment + data[at + 2 + int.from_bytes(data[at + 2 : at + 4]) :]
    length = int.from_bytes(data[part + 6 : part + 10]) + len(segment)
    return data[: part + 6] + length.to_bytes(4) + data[part + 10 : part + 12] + segment + data[part + 12 :]


def gif_with_comments(number: int) -> bytes:
    data = plain("P", (64, 64), "GIF")
    head = 13 + (3 << (data[10] & 7) + 1)
    return data[:head] + b"\x21\xfe\x01A\x00" * number + data[head:]


def png_with_chunks(number: int) -> bytes:
    data = plain("RGB", (64, 64), "PNG")
    return data[:33] + (bytes(4) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))) * number + data[33:]


def jpeg_with_filling(length: int) -> bytes:
    data = plain("RGB", (64, 64), "JPEG")
    return data[:2] + bytes(length) + data[2:]


KINDS: dict[str, tuple[Callable[[], bytes], str]] = {
    "png 60000 x 1": (lambda: plain("L", (60_000, 1), "PNG"), REFUSED),
    "png 16000 x 1": (lambda: plain("RGB", (16_000, 1), "PNG"), REFUSED),
    "png 1 x 60000": (lambda: plain("1", (1, 60_000), "PNG"), REFUSED),
    "png 20000 x 50": (lambda: plain("RGB", (20_000, 50), "PNG"), READ),
    "png 50 x 20000": (lambda: plain("RGB", (50, 20_000), "PNG"), READ),
    "png 300 x 1": (lambda: plain("RGB", (300, 1), "PNG"), READ),
    "png 1 x 1": (lambda: plain("RGB", (1, 1), "PNG"), READ),
    "png RGB of 50 MP": (lambda: plain("RGB", (4000, 12_500), "PNG"), READ),
    "png RGBA of 50 MP": (lambda: plain("RGBA", (12_500, 4000), "PNG"), READ),
    "png LA of 50 MP": (lambda: plain("LA", (7000, 7000), "PNG"), READ),
    "png P of 50 MP": (lambda: plain("P", (7000, 7000), "PNG"), READ),
    "png P of 50 MP, transparent": (lambda: plain("P", (7000, 7000), "PNG", transparency=0), READ),
    "png 1 bit of 50 MP": (lambda: plain("1", (7000, 7000), "PNG"), READ),
    "png 16 bits of 50 MP": (lambda: plain("I;16", (7000, 7000), "PNG"), READ),
    "png RGB of 80 MP": (lambda: plain("RGB", (8000, 10_000), "PNG"), REFUSED),
    "png 1 bit of 400 MP": (lambda: plain("1", (20_000, 20_000), "PNG"), REFUSED),
    "png that claims 100000 x 100000": (lambda: png_that_claims(100_000, 100_000), REFUSED),
    "png that claims 2^31 x 1": (lambda: png_that_claims((1 << 31) - 1, 1), REFUSED),
    "png with 40 MB of text": (lambda: with_text(40_000_000), REFUSED),
    "png with 1 KB of text": (lambda: with_text(1000), READ),
    "jpeg of 45 MP": (lambda: noisy((9000, 5000), "JPEG"), READ),
    "progressive jpeg of 45 MP": (lambda: noisy((9000, 5000), "JPEG", progressive=True), READ),
    "progressive jpeg of 120 MP": (lambda: plain("RGB", (12_000, 10_000), "JPEG", progressive=True), REFUSED),
    "cmyk jpeg of 36 MP": (lambda: plain("CMYK", (6000, 6000), "JPEG"), READ),
    "grey jpeg of 49 MP": (lambda: plain("L", (7000, 7000), "JPEG", progressive=True), READ),
    "turned jpeg of 45 MP": (lambda: turned((9000, 5000)), READ),
    "float tiff of 49 MP": (lambda: plain("F", (7000, 7000), "TIFF", compression="tiff_adobe_deflate"), READ),
    "float tiff of 100 MP": (lambda: plain("F", (10_000, 10_000), "TIFF", compression="tiff_adobe_deflate"), REFUSED),
    "integer tiff of 49 MP": (lambda: plain("I", (7000, 7000), "TIFF", compression="tiff_lzw"), READ),
    "16 bit tiff of 49 MP": (lambda: plain("I;16", (7000, 7000), "TIFF"), READ),
    "unpacked tiff of 52 MP": (lambda: plain("RGB", (4000, 13_000), "TIFF"), READ),
    "rgb tiff of 49 MP": (lambda: plain("RGB", (7000, 7000), "TIFF", compression="tiff_lzw"), READ),
    "gif of 49 MP": (lambda: plain("P", (7000, 7000), "GIF"), READ),
    "animated gif": (lambda: frames("GIF"), READ),
    "animated webp": (lambda: frames("WEBP"), READ),
    "webp of 20 MP": (lambda: noisy((5000, 4000), "WEBP"), READ),
    "webp of 100 MP": (lambda: plain("RGB", (10_000, 10_000), "WEBP"), REFUSED),
    "bmp of 49 MP": (lambda: plain("RGB", (7000, 7000), "BMP"), READ),
    "jpeg 2000 of 9 MP": (lambda: plain("RGB", (3000, 3000), "JPEG2000"), READ),
    "jpeg with EXIF that names itself 4,000 times": (exif_in_segments, REFUSED),
    "jpeg with an index that does": (lambda: jpeg_with((0xE2, b"MPF\0" + directory(2000, 20_000))), REFUSED),
    "png with EXIF that does": (png_with_exif, REFUSED),
    "webp with EXIF that does": (webp_with_exif, REFUSED),
    "tiff with a directory that does": (lambda: tiff(4000, 500_000), REFUSED),
    "tiff in a tile of 40000 x 40000": (
        lambda: tiff(compression=8, tile_width=40_000, tile_height=40_000, tile=8),
        REFUSED,
    ),
    "tiff that claims 100000 x 100000": (lambda: tiff(width=100_000, height=100_000, strip=8), REFUSED),
    "tiff of LZMA": (lambda: plain("RGB", (64, 64), "TIFF", compression="lzma"), REFUSED),
    "tiff in one strip": (
        lambda: plain("RGB", (6500, 6500), "TIFF", compression="tiff_lzw", tiffinfo={278: 6500}),
        READ,
    ),
    "webp that claims 16000 x 16000": (lambda: webp_that_claims(16_000, 16_000), REFUSED),
    "jpeg 2000 of 65,025 tiles": (lambda: jpeg2000_with(16_320, 16_320, 64), REFUSED),
    "jpeg 2000 larger than its box says": (lambda: jpeg2000_with(60_000, 60_000, 60_000), REFUSED),
    "jpeg 2000 in the smallest precincts": (lambda: coded(2500, PRECINCTS), REFUSED),
    "jpeg 2000 in them, by a tile-part's header": (lambda: coded(2500, PRECINCTS, in_part=True), REFUSED),
    "jpeg 2000 in few of them": (lambda: coded(256, PRECINCTS), READ),
    "jpeg 2000 in the smallest code-blocks": (lambda: coded(6000, block=4), REFUSED),
    "jpeg 2000 in common code-blocks": (lambda: coded(5000, block=64), READ),
    "jpeg 2000 of 65,535 layers in small precincts": (lambda: coded(2000, b"\x55" * 6, 64, 65_535), REFUSED),
    "gif with 100 comments": (lambda: gif_with_comments(100), READ),
    "gif with 1,200,000 comments": (lambda: gif_with_comments(1_200_000), REFUSED),
    "png in 2,000,000 chunks": (lambda: png_with_chunks(2_000_000), REFUSED),
    "jpeg with 30 MB before its first segment": (lambda: jpeg_with_filling(30_000_000), REFUSED),
    "jpeg 2000 of 64 MP": (lambda: plain("L", (8000, 8000), "JPEG2000"), REFUSED),
}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    warm = tmp_path_factory.mktemp("warm") / "warm.png"
    Image.new("RGB", (400, 300)).save(warm)
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(LIMIT_BYTES), str(warm)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as child:
        yield child


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_refused_or_read_within_600_mb(
    kind: str, reader: subprocess.Popen[str], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    make, outcome = KINDS[kind]
    file = tmp_path / "image"
    file.write_bytes(make())
    assert reader.stdin and reader.stdout
    print(file, file=reader.stdin, flush=True)
    padded, cropped, plain, looked = json.loads(reader.stdout.readline())
    assert [padded[0][0], cropped[0][0]] == [outcome, outcome], (padded, cropped)
    # preparing and auditing decide as reading does
    assert [fault is not None for fault, _ in (plain, looked)] == [outcome == REFUSED] * 2
    peak = max(found[1] for found in (padded, cropped, plain, looked))
    record_property("peak_mb", peak // 1_000_000)
    print(f"{kind}: {outcome}, {peak // 1_000_000} MB")
    assert peak < LIMIT_BYTES
