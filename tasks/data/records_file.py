"""Instruction files: records as a JSON list or JSON Lines, read with a clear word on what is wrong; and written as a
list, beside its manifest.

Records are raw dicts and keep their keys, values and order. A written file has one record a line.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from tasks.errors import DataError, shortened
from tasks.files import read_json, sha256_of, write_json, written_atomically
from tasks.json_stream import iterate_values
from tasks.paths import manifest_beside
from tasks.record_faults import ADVICE, WRITE_ANEW, image_fault, keys_of, of_another_tool, role_fault
from tasks.sources import UNNAMED, source_of
from tasks.turn_tasks import TasksBySource, count_by_source

Record = dict[str, Any]

VERSION = 1
FROM, VALUE = itemgetter("from"), itemgetter("value")


def read_records(path: Path, unfiltered: bool = False) -> list[Record]:
    """Read a file of records.

    Raises DataError when the file is cut off or no list, or when a record lacks its id or conversations or, unless
    `unfiltered`, has no image inside the images folder or a turn of another role; the message names the record.
    """
    return [record for record, _ in iterate_records(path, unfiltered)]


def iterate_records(path: Path, unfiltered: bool = False) -> Iterator[tuple[Record, str]]:
    """Each record of a file with its text; raises DataError as read_records does, though perhaps after some."""
    for index, listed in enumerate(iterate_values(path)):
        require_record(f"{path}: {listed.place(f'record {index}')}", listed.value, unfiltered)
        yield listed.value, listed.text


def require_record(place: str, record: Any, unfiltered: bool) -> None:
    """Raise DataError, naming the record, when it is none or, unless `unfiltered`, when it cannot be used."""
    name = record.get("id") if isinstance(record, dict) else None
    if fault := fault_of_record(record):
        advice = WRITE_ANEW if isinstance(record, dict) and of_another_tool(record) else "mend or remove it"
        raise DataError(f"{place} (id {shortened(name)}) {fault}; {advice}.")
    if not unfiltered and (found := image_fault(record) or role_fault(record)):
        raise DataError(f"{place} (id {shortened(name)}) {found.said}; mend it, or {ADVICE}.")


def fault_of_record(record: Any) -> str | None:
    """What a record lacks to be one, or None."""
    if not isinstance(record, dict):
        return "is no object with id, image and conversations"
    name, turns = record.get("id"), record.get("conversations")
    if name is None or name == "":
        return f"has no id{'' if turns else keys_of(record)}"
    if not isinstance(name, (str, int)) or isinstance(name, bool):
        return "has an id that is neither a text nor a whole number"
    if not turns:
        return f"has no conversations{'' if 'conversations' in record else keys_of(record)}"
    if not isinstance(turns, list):
        return "has conversations that are no list of turns"
    try:
        # without a loop in Python: a file of 91 MB has a million turns
        sound = set(map(type, map(FROM, turns))) | set(map(type, map(VALUE, turns))) == {str}
    except (KeyError, TypeError, IndexError):
        sound = False
    return None if sound else 'has a turn that is not {"from": "human" or "gpt", "value": text}'


def counted_by_source(records: Iterable[Mapping[str, Any]], unnamed: str = UNNAMED) -> dict[str, int]:
    """How many records each source has, sources in order of first appearance."""
    return dict(Counter(source_of(record["image"], unnamed) for record in records))


class RecordsFile:
    """A file of records to be written with its manifest, whose inputs and parameters say what it was made from."""

    def __init__(
        self,
        path: Path,
        inputs: Mapping[str, str],
        parameters: Mapping[str, Any],
        repaired: Mapping[str, int] | None = None,
        unnamed: str = UNNAMED,
    ):
        if not path.name:
            raise DataError(f"{path} names no file: give the path of the file to write.")
        self.path, self.manifest_path, self._repaired = path, manifest_beside(path), repaired
        self.unnamed = unnamed
        if unnamed != UNNAMED:
            parameters = {**parameters, "unnamed_source": unnamed}
        # as JSON gives them back: what was written is compared with what is asked for
        self.origin = json.loads(json.dumps({"inputs": inputs, "parameters": parameters}))

    def made_before(self) -> dict[str, Any] | None:
        """The manifest, when the file was written from the same inputs and parameters and is unchanged."""
        if not (self.path.is_file() and self.manifest_path.is_file()):
            return None
        manifest = read_json(self.manifest_path)
        same = isinstance(manifest, dict) and {key: manifest.get(key) for key in self.origin} == self.origin
        return manifest if same and manifest.get("sha256") == sha256_of(self.path) else None

    def require_free(self, sha256: str) -> None:
        """Raise DataError where a file of other content stands: nothing of the user's is overwritten."""
        # a device or a pipe can be read without end
        if self.path.exists() and not (self.path.is_file() and sha256_of(self.path) == sha256):
            raise DataError(
                f"{self.path} exists and holds something else than what would be written: "
                "give another name, or move it away."
            )
        if self.manifest_path.exists() and not self._is_manifest():
            raise DataError(f"{self.manifest_path} exists and is no manifest: give another name, or move it away.")

    def _is_manifest(self) -> bool:
        try:
            found = read_json(self.manifest_path)
        except DataError:
            return False
        return isinstance(found, dict) and {"version", "sha256", "records"} <= found.keys()

    def write(
        self,
        records: Sequence[Record],
        dropped: Mapping[str, int],
        content: bytes | None = None,
        tasks: TasksBySource | None = None,
    ) -> None:
        """Write the records (`content`, where they are encoded, and `tasks`, counted already) and then the manifest.

        What stands there with the same content is kept.
        """
        if tasks is None:
            tasks = count_by_source(records, self.unnamed)
        content = encoded(records) if content is None else content
        sha256 = digest_of_content(content)
        self.require_free(sha256)
        if not self.path.exists():
            with written_atomically(self.path) as part:
                part.write_bytes(content)
        manifest = {
            "version": VERSION,
            "sha256": sha256,
            "records": len(records),
            "kept": counted_by_source(records, self.unnamed),
            "tasks": tasks,
            "dropped": dict(dropped),
            **({"repaired": dict(self._repaired)} if self._repaired else {}),
            **self.origin,
        }
        write_json(self.manifest_path, manifest)


def encoded(records: Sequence[Record]) -> bytes:
    """The records as JSON in UTF-8, one a line: a set of 90 MB stays readable, and the encoder stays in C."""
    try:
        return joined(text.encode() for text in map(json.JSONEncoder(ensure_ascii=False).encode, records))
    except UnicodeEncodeError:
        # half a surrogate pair, which JSON may hold and UTF-8 may not
        return joined(text.encode() for text in map(json.JSONEncoder().encode, records))


def joined(contents: Iterable[bytes]) -> bytes:
    """A list of records from the bytes of each."""
    lines = b",\n".join(contents)
    return b"[\n" + lines + b"\n]\n" if lines else b"[]\n"


def digest_of_content(content: bytes) -> str:
    """The SHA-256 of what is to be written."""
    return hashlib.sha256(content).hexdigest()
