"""Write instruction files: records as a JSON list, one per line, with a manifest next to the file.

Records keep their keys, values and order. A record read as a RecordSlice is written again with its original text.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict, TypeVar

from tasks.errors import DataError
from tasks.files import read_json, sha256_of, write_json, written_atomically
from tasks.paths import manifest_path_of
from tasks.record_reader import Record, iterate_records
from tasks.sources import UNNAMED, source_of
from tasks.turn_tasks import TasksBySource, count_by_source, count_tasks, tasks_by_source

VERSION = 1


class RecordSlice(TypedDict):
    """A record's image, its number of questions by task, and its text in the file.

    The text is UTF-8 bytes on one line, whatever the layout of the file. It is written as it is, so that the chosen
    records need not be kept and encoded again.
    """

    image: str
    content: bytes
    # as a plain tuple: there may be a million
    tasks: tuple[tuple[str, int], ...]


# whatever has an image can be divided
AnyRecord = TypeVar("AnyRecord", Record, RecordSlice)


def slice_of(record: Record, text: str | None) -> RecordSlice:
    """The slice of a record with its text; without one, the record is encoded."""
    tasks = tuple(count_tasks(record).items())
    return {"image": record["image"], "content": _one_line(text, record), "tasks": tasks}


def read_slices(path: Path) -> list[RecordSlice]:
    """All records of a file as slices; raises DataError as read_records does."""
    return [slice_of(record, text) for record, text in iterate_records(path)]


def tasks_of_slices(slices: Iterable[RecordSlice], unnamed: str = UNNAMED) -> TasksBySource:
    """Count the questions of slices by source and task."""
    return tasks_by_source(((one["image"], dict(one["tasks"])) for one in slices), unnamed)


def by_source(records: Iterable[AnyRecord], unnamed: str = UNNAMED) -> dict[str, list[AnyRecord]]:
    """Group records by source, sources in order of first appearance."""
    sources: dict[str, list[AnyRecord]] = {}
    for record in records:
        sources.setdefault(source_of(record.get("image") or "", unnamed), []).append(record)
    return sources


def counted_by_source(records: Iterable[AnyRecord], unnamed: str = UNNAMED) -> dict[str, int]:
    """Count records by source, sources in order of first appearance."""
    return dict(Counter(source_of(record.get("image") or "", unnamed) for record in records))


class RecordsFile:
    """A file of records to be written with its manifest; inputs and parameters identify its content."""

    def __init__(
        self,
        path: Path,
        inputs: Mapping[str, str],
        parameters: Mapping[str, object],
        repaired: Mapping[str, int] | None = None,
        unnamed: str = UNNAMED,
    ):
        if not path.name:
            raise DataError(f"{path} is not a file name: give the path of the file to write.")
        self.path, self.manifest_path, self._repaired = path, manifest_path_of(path), repaired
        self.unnamed = unnamed
        if unnamed != UNNAMED:
            parameters = {**parameters, "unnamed_source": unnamed}
        # in the form that JSON returns, to be compared with a written manifest
        self.origin = json.loads(json.dumps({"inputs": inputs, "parameters": parameters}))

    def up_to_date_manifest(self) -> dict[str, object] | None:
        """The manifest, if the file was written from the same inputs and parameters and is unchanged."""
        if not (self.path.is_file() and self.manifest_path.is_file()):
            return None
        manifest = read_json(self.manifest_path)
        same = isinstance(manifest, dict) and {key: manifest.get(key) for key in self.origin} == self.origin
        return manifest if same and manifest.get("sha256") == sha256_of(self.path) else None

    def require_free(self, sha256: str) -> None:
        """Raise DataError if the path holds a file of other content: nothing of the user's is overwritten."""
        # a device or a pipe may never end
        if self.path.exists() and not (self.path.is_file() and sha256_of(self.path) == sha256):
            raise DataError(f"{self.path} exists with other content: give another name, or move it away.")
        if self.manifest_path.exists() and not self._is_manifest():
            raise DataError(f"{self.manifest_path} exists and is not a manifest: give another name, or move it away.")

    def _is_manifest(self) -> bool:
        try:
            found = read_json(self.manifest_path)
        except DataError:
            return False
        return isinstance(found, dict) and {"version", "sha256", "records"} <= found.keys()

    def write(self, records: Sequence[Record], dropped: Mapping[str, int]) -> None:
        """Write the records, then the manifest; a file with the same content is kept."""
        kept, tasks = counted_by_source(records, self.unnamed), count_by_source(records, self.unnamed)
        self.write_content(encoded(records), kept, dropped, tasks)

    def write_content(
        self, content: bytes, kept: Mapping[str, int], dropped: Mapping[str, int], tasks: TasksBySource
    ) -> None:
        """Write encoded records, then the manifest with their counts; a file with the same content is kept."""
        sha256 = digest_of_content(content)
        self.require_free(sha256)
        if not self.path.exists():
            with written_atomically(self.path) as part:
                part.write_bytes(content)
        manifest = {
            "version": VERSION,
            "sha256": sha256,
            "records": sum(kept.values()),
            "kept": dict(kept),
            "tasks": tasks,
            "dropped": dict(dropped),
            **({"repaired": dict(self._repaired)} if self._repaired else {}),
            **self.origin,
        }
        write_json(self.manifest_path, manifest)


def encoded(records: Sequence[Record]) -> bytes:
    """The records as UTF-8 JSON, one per line: a set of 90 MB stays readable, and the encoder stays in C."""
    try:
        return joined(text.encode() for text in map(json.JSONEncoder(ensure_ascii=False).encode, records))
    except UnicodeEncodeError:
        # half a surrogate pair, which JSON may hold and UTF-8 may not
        return joined(text.encode() for text in map(json.JSONEncoder().encode, records))


def joined(contents: Iterable[bytes]) -> bytes:
    """A JSON list from the bytes of each record."""
    lines = b",\n".join(contents)
    return b"[\n" + lines + b"\n]\n" if lines else b"[]\n"


def digest_of_content(content: bytes) -> str:
    """The SHA-256 of bytes, as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _one_line(text: str | None, record: Record) -> bytes:
    if text is not None and "\n" not in text:
        return text.encode()
    try:
        return json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # half a surrogate pair, which JSON may hold and UTF-8 may not
        return json.dumps(record).encode()
