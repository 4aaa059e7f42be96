"""Write what comes out of an archive: new files only, and no byte more than was declared."""

from types import TracebackType
from typing import Protocol

from tasks.errors import DataError

CHUNK_BYTES = 1 << 20


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; none at the end."""


class NewFile:
    """A file that must not exist yet and holds at most `size_bytes` bytes; complete when it holds just these."""

    def __init__(self, path: str, size_bytes: int):
        self.path, self.left_bytes = path, size_bytes
        self._file = open(path, "xb", buffering=0)  # noqa: SIM115, PTH123 - a Path for each of 45,000 files costs a second

    def write(self, chunk: bytes | bytearray) -> int:
        """Append; raises DataError beyond the size."""
        self.left_bytes -= len(chunk)
        if self.left_bytes < 0:
            raise DataError(f"{self.path} is longer than its archive says")
        # unbuffered: a full disk may take less than it is given
        written = self._file.write(chunk)
        while written < len(chunk):
            written += self._file.write(memoryview(chunk)[written:])
        return written

    def __enter__(self) -> "NewFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if error is None and self.left_bytes:
            raise DataError(f"{self.path} is shorter than its archive says")


def write_stream(path: str, source: Readable, size_bytes: int) -> None:
    """Write exactly `size_bytes` from `source` to a new file, a chunk at a time."""
    with NewFile(path, size_bytes) as file:
        while chunk := source.read(CHUNK_BYTES):
            file.write(chunk)
