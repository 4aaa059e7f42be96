"""Filter, split and reduce from file to file; the same inputs and parameters again do nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.data.filtering import reason_to_drop, require_sources
from tasks.data.record_slices import RecordSlice, iterate_records, read_slices
from tasks.data.records_file import RecordsFile, counted_by_source, digest_of_content, joined
from tasks.data.sources import SOURCES
from tasks.data.splitting import Protocol, reduce_records, split_records
from tasks.errors import DataError
from tasks.files import sha256_of

LEFT_OVER = "left over by the reference protocol"
REDUCED = "not in the share asked for"


@dataclass(frozen=True)
class SplitParameters:
    """How a data set is divided: shares of each source for training and test, the rest validates."""

    train: float
    test: float
    seed: int
    protocol: Protocol


@dataclass(frozen=True)
class Written:
    """A file of records that stands there now; `new` when this call wrote it."""

    path: Path
    kept: Mapping[str, int]
    dropped: Mapping[str, int]
    new: bool


def filter_file(raw: Path, out: Path, sources: Sequence[str]) -> Written:
    """Write the records of the asked sources to `out`, beside their manifest.

    Raises DataError for a file that holds no records or none of these sources, and where `out` holds something else.
    """
    file = RecordsFile(out, inputs_of(raw), {"sources": list(sources)})
    if before := _before(file):
        return before
    kept: list[RecordSlice] = []
    dropped: Counter[str] = Counter()
    for record, content in iterate_records(raw, allow_outside=True):
        if reason := reason_to_drop(record, sources):
            dropped[reason] += 1
        else:
            kept.append(RecordSlice(record, content))
    # a default source may have no records in this file; a name that nobody knows is a slip
    unknown = [name for name in sources if name not in SOURCES]
    require_sources(kept, unknown if kept else sources, dropped)
    return _write(file, kept, dropped)


def split_file(dataset: Path, out: Path, parameters: SplitParameters) -> list[Written]:
    """Write data_train.json, data_val.json and data_test.json into `out`, each beside its manifest.

    Raises DataError for a file that holds no records and where one of the three holds something else: then none
    is written.
    """
    files = {name: RecordsFile(path, inputs_of(dataset), asdict(parameters)) for name, path in set_paths(out).items()}
    before = [_before(file) for file in files.values()]
    if all(before):
        return [written for written in before if written]
    split = split_records(read_slices(dataset), **asdict(parameters))
    sets: dict[str, list[Any]] = {name: getattr(split, name) for name in files}
    for name, file in files.items():
        if file.path.exists() or file.manifest_path.exists():
            file.require_free(digest_of_content(_content(sets[name])))
    dropped = {LEFT_OVER: split.lost} if split.lost else {}
    return [_write(file, sets[name], dropped) for name, file in files.items()]


def reduce_file(test: Path, out: Path, ratio: float, seed: int, protocol: Protocol) -> Written:
    """Write a share of a test set to `out`, beside its manifest.

    Raises DataError for a file that holds no records and where `out` holds something else.
    """
    file = RecordsFile(out, inputs_of(test), {"ratio": ratio, "seed": seed, "protocol": protocol})
    if before := _before(file):
        return before
    records = read_slices(test)
    kept: list[Any] = reduce_records(records, ratio, seed, protocol)
    return _write(file, kept, {REDUCED: len(records) - len(kept)} if len(kept) < len(records) else {})


def set_paths(folder: Path) -> dict[str, Path]:
    """The files of a split by the names of its sets."""
    return {name: folder / f"data_{name}.json" for name in ("train", "val", "test")}


def inputs_of(path: Path) -> dict[str, str]:
    """An input file's name and SHA-256; raises DataError when there is no such file."""
    if not path.is_file():
        raise DataError(f"{path} is no file: give the path of an existing JSON file.")
    return {path.name: sha256_of(path)}


def _before(file: RecordsFile) -> Written | None:
    manifest = file.made_before() or {}
    kept, dropped = manifest.get("kept"), manifest.get("dropped")
    if not isinstance(kept, dict) or not isinstance(dropped, dict):
        return None
    return Written(file.path, kept, dropped, new=False)


def _content(slices: Sequence[RecordSlice]) -> bytes:
    return joined(one.content for one in slices)


def _write(file: RecordsFile, slices: Sequence[RecordSlice], dropped: Mapping[str, int]) -> Written:
    file.write(slices, dropped, _content(slices))
    return Written(file.path, counted_by_source(slices), dropped, new=True)
