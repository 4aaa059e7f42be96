"""Images that are small in bytes or pixels and huge in memory: refused, or read, padded and scaled within 600 MB."""

import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

REFUSED, READ = "refused", "read"
# each image by itself, as Python gives memory back as it likes
CHILD = """
import json, resource, sys
from pathlib import Path
import numpy, torch
from tasks.errors import DataError
from tasks.data.image_states import state_of
from tasks.model.images import pixels_of, read_image
from transformers import LlavaImageProcessor
torch.set_num_threads(1)
processor = LlavaImageProcessor(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}, do_pad=True)
warm = Path(sys.argv[2])
pixels_of(read_image(warm), processor), state_of(str(warm), True)
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
used = int(status["VmSize"].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + 600_000_000, used + 600_000_000))
try:
    said = ["read", list(pixels_of(read_image(Path(sys.argv[1])), processor).shape)]
except DataError as error:
    said = ["refused", str(error)]
print(json.dumps([*said, state_of(sys.argv[1], True).fault]))
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
    "rgb tiff of 49 MP": (lambda: plain("RGB", (7000, 7000), "TIFF", compression="tiff_lzw"), READ),
    "gif of 49 MP": (lambda: plain("P", (7000, 7000), "GIF"), READ),
    "animated gif": (lambda: frames("GIF"), READ),
    "animated webp": (lambda: frames("WEBP"), READ),
    "webp of 20 MP": (lambda: noisy((5000, 4000), "WEBP"), READ),
    "webp of 100 MP": (lambda: plain("RGB", (10_000, 10_000), "WEBP"), REFUSED),
    "bmp of 49 MP": (lambda: plain("RGB", (7000, 7000), "BMP"), READ),
    "jpeg 2000 of 9 MP": (lambda: plain("RGB", (3000, 3000), "JPEG2000"), READ),
    "jpeg 2000 of 64 MP": (lambda: plain("L", (8000, 8000), "JPEG2000"), REFUSED),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_refused_or_read_within_600_mb(kind: str, tmp_path: Path) -> None:
    make, outcome = KINDS[kind]
    file, warm = tmp_path / "image", tmp_path / "warm.png"
    file.write_bytes(make())
    Image.new("RGB", (400, 300)).save(warm)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(file), str(warm)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found, said, fault = json.loads(done.stdout)
    assert found == outcome, said
    # preparing and auditing decide as reading does
    assert (fault is not None) == (outcome == REFUSED)
    assert outcome == READ or "Traceback" not in said
