"""Headers of JPEG 2000 are read as OpenJPEG reads them: none that it finds is missed."""

import io

import pytest
from PIL import Image

from tasks.model.image_codestream import CODING, MAX_PARTS, codestream_bytes

CODING_MARKER = CODING.to_bytes(2)
COMMENT = b"\xff\x64"


def codestream(**options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (512, 512)).save(buffer, "JPEG2000", no_jp2=True, **options)
    return buffer.getvalue()


def segment(marker: bytes, content: bytes) -> bytes:
    return marker + (len(content) + 2).to_bytes(2) + content


def in_front_of_coding(inserted: bytes) -> bytes:
    data = codestream()
    at = data.index(CODING_MARKER)
    return data[:at] + inserted + data[at:]


def memory(data: bytes) -> int:
    return codestream_bytes(io.BytesIO(data))


@pytest.mark.parametrize("marker", [0xFF70, 0xFF30, 0xFFFF, 0xFF00, 0xFF66, 0xFF91, 0x0000, 0x1234])
def test_an_unknown_marker_is_refused(marker: int) -> None:
    data = codestream()
    at = data.index(CODING_MARKER)
    # by its length it reaches over the coding parameters; a decoder that does not know it finds them inside
    length = 4 + int.from_bytes(data[at + 2 : at + 4])
    with pytest.raises(ValueError, match="unknown marker"):
        memory(data[:at] + marker.to_bytes(2) + length.to_bytes(2) + data[at:])


def test_pillow_writes_only_known_markers() -> None:
    assert memory(codestream()) < 200_000
    for options in ({"plt": True}, {"tile_size": (64, 64)}, {"quality_layers": [40, 20, 10]}, {"comment": "a harbor"}):
        assert memory(codestream(**options)) < 1_000_000
    assert memory(in_front_of_coding(segment(COMMENT, b"\x00\x01" + CODING_MARKER * 100))) == memory(codestream())


def test_coding_parameters_of_a_single_component_count() -> None:
    data = codestream()
    at = data.index(CODING_MARKER)
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
    # the smallest precincts, for component 0
    own = segment(b"\xff\x53", b"\x00\x01" + data[at + 9 : at + 14] + b"\x00" + b"\x11" * data[at + 9])
    assert memory(data[:end] + own + data[end:]) > 100_000_000


def test_too_many_headers_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 200,000 parts"):
        memory(in_front_of_coding(segment(COMMENT, b"") * MAX_PARTS))
