import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.data.image_states import EMPTY, MISSING, OTHER_KIND, TOO_LARGE, UNREADABLE, state_of
from tasks.files import sha256_of


def encoded(kind: str, mode: str = "RGB", **options) -> bytes:
    values = np.random.default_rng(28).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


JPEG, PNG, TIFF = encoded("JPEG"), encoded("PNG"), encoded("TIFF")
KINDS = {"JPEG": JPEG, "PNG": PNG, "TIFF": TIFF, "GIF": encoded("GIF"), "BMP": encoded("BMP"), "WEBP": encoded("WEBP")}


def huge_png() -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return PNG[:8] + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + PNG[33:]


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


BROKEN = {
    **{
        f"{kind} cut at {share}": data[: int(len(data) * share)] for kind, data in KINDS.items() for share in (0.1, 0.5)
    },
    "JPEG without its end": JPEG[:-2],
    "JPEG with zeros at its end": JPEG[: len(JPEG) * 2 // 3] + bytes(len(JPEG) // 3),
    "JPEG signature only": JPEG[:4],
    "JPEG without a header": JPEG[20:],
    "PNG cut near its end": PNG[:-30],
    "PNG with a changed pixel": flipped(PNG, len(PNG) // 2),
    "PNG with a changed header": flipped(PNG, 20),
    "PNG signature only": PNG[:8],
    "TIFF with a wrong directory": TIFF[:4] + b"\xff\xff\xff\x7f" + TIFF[8:],
    "text": b"no image",
    "page": b"<!doctype html><html>sign in</html>",
    "document": b"%PDF-1.7\n1 0 obj\n",
    "archive": b"PK\x03\x04" + bytes(60),
    "zeros": bytes(5000),
    "noise": np.random.default_rng(1).bytes(5000),
    "link text": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_image_is_found(tmp_path, name):
    (tmp_path / "a.jpg").write_bytes(BROKEN[name])
    assert state_of(str(tmp_path / "a.jpg"), with_look=True).fault == UNREADABLE


def test_thirty_kinds_of_damage_are_tried():
    assert len(BROKEN) + 4 >= 30


def test_other_faults_have_names_of_their_own(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "huge.png").write_bytes(huge_png())
    (tmp_path / "link.jpg").symlink_to(tmp_path / "none")
    (tmp_path / "folder.jpg").mkdir()
    faults = {
        name: state_of(str(tmp_path / name), False).fault
        for name in ("empty.jpg", "huge.png", "link.jpg", "folder.jpg")
    }
    assert faults == {"empty.jpg": EMPTY, "huge.png": TOO_LARGE, "link.jpg": MISSING, "folder.jpg": MISSING}


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_image_is_described(tmp_path, kind):
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(KINDS[kind])
    state = state_of(str(path), with_look=True)
    assert (state.fault, state.note, state.kind) == (None, None, kind)
    assert (state.width, state.height, state.size_bytes) == (80, 60, len(KINDS[kind]))
    assert state.sha256 == sha256_of(path) and state.look is not None


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "I", "F", "CMYK"])
def test_every_mode_is_read_and_looked_at(tmp_path, mode):
    values = (np.arange(60 * 80, dtype=np.float32).reshape(60, 80) * 13) % 60_000
    image = Image.fromarray(values)
    image = (
        Image.fromarray(values.astype(np.uint16))
        if mode == "I;16"
        else image.convert("L" if mode not in "FI" else mode)
    )
    image = image if mode in ("I;16", "I", "F") else image.convert(mode)
    image.save(tmp_path / "a.tif")
    state = state_of(str(tmp_path / "a.tif"), with_look=True)
    assert state.fault is None and state.look is not None


def test_a_file_of_another_kind_than_its_name_is_noticed(tmp_path):
    path = Path(tmp_path / "a.jpg")
    path.write_bytes(PNG)
    state = state_of(str(path), with_look=False)
    assert (state.fault, state.note, state.kind) == (None, OTHER_KIND, "PNG")
