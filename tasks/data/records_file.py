"""Write instruction files: records as a JSON list, one per line, with a manifest next to the file.

Records keep their keys, values and order. A record read as a RecordSlice is written again with its original text.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypedDict, TypeVar

from tasks.errors import DataError
from tasks.files import read_json, sha256_of, write_json, written_atomically
from tasks.paths import manifest_path_of
from tasks.record_reader import Record, first_image, iterate_records
from tasks.sources import UNNAMED, source_of
from tasks.turn_tasks import TasksBySource, count_by_source, count_tasks, tasks_by_source

VERSION = 1
# one for all: json.dumps would make one for each of a million records
ENCODER = json.JSONEncoder(ensure_ascii=False)


class RecordSlice(TypedDict):
    """A record's image, its number of questions by task, and its text in the file.

    The text is UTF-8 bytes on one line, whatever the layout of the file. It is written as it is, so that the chosen
    records need not be kept and encoded again.
    """

    image: str
    content: bytes
    # as a plain tuple: there may be a million
    tasks: tuple[tuple[str, int], ...]
    # the set's own division, where the record states it
    split: str | None


# whatever has an image can be divided
AnyRecord = TypeVar("AnyRecord", Record, RecordSlice)


def slice_of(record: Record, text: str | None) -> RecordSlice:
    """The slice of a record with its text; without one, the record is encoded."""
    tasks = _shared(tuple(count_tasks(record).items()))
    return {
        "image": record["image"],
        "content": _one_line(text, record),
        "tasks": tasks,
        "split": own_split(record),
    }


def own_split(record: Mapping[str, object]) -> str | None:
    """The division of its own data set that a record states in `split`, or None."""
    split = record.get("split")
    return sys.intern(split) if isinstance(split, str) else None


@lru_cache(maxsize=1000)
def _shared(tasks: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    """One object for equal counts: nearly all records of a set have the same."""
    return tasks


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
        sources.setdefault(source_of(first_image(record), unnamed), []).append(record)
    return sources


def counted_by_source(records: Iterable[AnyRecord], unnamed: str = UNNAMED) -> dict[str, int]:
    """Count records by source, sources in order of first appearance."""
    return dict(Counter(source_of(first_image(record), unnamed) for record in records))


class Changes(NamedTuple):
    """What was dropped and repaired, by reason, and further entries of a manifest."""

    dropped: Mapping[str, int]
    repaired: Mapping[str, int] = {}
    details: Mapping[str, object] = {}


class Counts(NamedTuple):
    """The counts of a manifest: records by source, questions by source and task, and the changes."""

    kept: Mapping[str, int]
    tasks: TasksBySource
    dropped: Mapping[str, int]
    repaired: Mapping[str, int] = {}
    details: Mapping[str, object] = {}


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
        self._write_manifest(sha256, Counts(kept, tasks, dropped, self._repaired or {}))

    def write_each(
        self, records: Iterable[Record], finish: Callable[[], Changes], advice: Mapping[str, str] | None = None
    ) -> Counts:
        """Write records one at a time, then the manifest: a million records take no memory.

        `finish` is called after the last record. Raises DataError when there is no record, with the `advice` for the
        reasons.
        """
        kept: Counter[str] = Counter()
        tasks: dict[str, Counter[str]] = {}

        def counted() -> Iterator[bytes]:
            for record in records:
                source = source_of(first_image(record), self.unnamed)
                kept[source] += 1
                of_source = tasks.setdefault(source, Counter())
                for task, number in count_tasks(record).items():
                    of_source[task] += number
                yield encode_value(record)

        def counts() -> Counts:
            by_source = {name: dict(numbers) for name, numbers in tasks.items()}
            return Counts(dict(kept), by_source, *finish())

        return self.write_pieces(listed(counted()), counts, advice)

    def write_pieces(
        self, pieces: Iterable[bytes], finish: Callable[[], Counts], advice: Mapping[str, str] | None = None
    ) -> Counts:
        """Write pieces of a file one at a time, then the manifest with the counts that `finish` gives after the last.

        Raises DataError when no record was kept, with the `advice` for the reasons, and where the path holds other
        content.
        """
        digest = hashlib.sha256()
        with written_atomically(self.path) as part:
            with part.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
                    digest.update(piece)
            counts = finish()
            if not counts.kept:
                raise DataError(f"{self.path} would hold no record {_why_empty(counts.dropped, advice or {})}.")
            self.require_free(digest.hexdigest())
        self._write_manifest(digest.hexdigest(), counts)
        return counts

    def _write_manifest(self, sha256: str, counts: Counts) -> None:
        manifest = {
            "version": VERSION,
            "sha256": sha256,
            "records": sum(counts.kept.values()),
            "kept": dict(counts.kept),
            "tasks": counts.tasks,
            "dropped": dict(counts.dropped),
            **({"repaired": dict(counts.repaired)} if counts.repaired else {}),
            **counts.details,
            **self.origin,
        }
        write_json(self.manifest_path, manifest)


def _why_empty(dropped: Mapping[str, int], advice: Mapping[str, str]) -> str:
    """Why nothing was kept, and what to do about the reasons that have an advice, as the end of a sentence."""
    if not any(dropped.values()):
        return "(it was made from files without captions, questions and conversations): give those that have them"
    known = [text for reason, text in advice.items() if dropped.get(reason)]
    return f"({describe_counts(dropped)}): {'; '.join(known) or 'correct these, or give other files'}"


def describe_counts(counts: Mapping[str, int]) -> str:
    """Numbers by reason, for a message."""
    return "; ".join(f"{reason}: {number}" for reason, number in counts.items()) or "nothing was dropped"


def encoded(records: Sequence[Record]) -> bytes:
    """The records as UTF-8 JSON, one per line: a set of 90 MB stays readable, and the encoder stays in C."""
    try:
        return joined(text.encode() for text in map(ENCODER.encode, records))
    except UnicodeEncodeError:
        # half a surrogate pair, which JSON may hold and UTF-8 may not
        return joined(text.encode() for text in map(json.JSONEncoder().encode, records))


def listed(values: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces of a JSON list, one value per line, from the bytes of each value; as `joined`, but one at a time."""
    before = b"[\n"
    for value in values:
        yield before + value
        before = b",\n"
    yield b"\n]\n" if before != b"[\n" else b"[]\n"


def joined(contents: Iterable[bytes]) -> bytes:
    """A JSON list from the bytes of each record."""
    lines = b",\n".join(contents)
    return b"[\n" + lines + b"\n]\n" if lines else b"[]\n"


def digest_of_content(content: bytes) -> str:
    """The SHA-256 of bytes, as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _one_line(text: str | None, record: Record) -> bytes:
    return encode_value(record) if text is None or "\n" in text else text.encode()


def encode_value(value: object) -> bytes:
    """A JSON value as UTF-8, on one line."""
    try:
        return ENCODER.encode(value).encode()
    except UnicodeEncodeError:
        # half a surrogate pair, which JSON may hold and UTF-8 may not
        return json.dumps(value).encode()
