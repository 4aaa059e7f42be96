"""Filter, split and reduce from file to file; the same inputs and parameters again do nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.data.filtering import filter_records, require_sources
from tasks.data.records_file import Record, RecordsFile, counted_by_source, encoded, read_records
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
    filtered = filter_records(read_records(raw), sources)
    # a default source may have no records in this file; a name that nobody knows is a slip
    unknown = [name for name in sources if name not in SOURCES]
    require_sources(filtered.records, unknown if filtered.records else sources, filtered.dropped)
    return _write(file, filtered.records, filtered.dropped)


def split_file(dataset: Path, out: Path, parameters: SplitParameters) -> list[Written]:
    """Write data_train.json, data_val.json and data_test.json into `out`, each beside its manifest.

    Raises DataError for a file that holds no records and where one of the three holds something else: then none
    is written.
    """
    files = {name: RecordsFile(path, inputs_of(dataset), asdict(parameters)) for name, path in set_paths(out).items()}
    before = [_before(file) for file in files.values()]
    if all(before):
        return [written for written in before if written]
    split = split_records(read_records(dataset), **asdict(parameters))
    contents = {name: encoded(getattr(split, name)) for name in files}
    for name, file in files.items():
        file.require_free(contents[name])
    dropped = {LEFT_OVER: split.lost} if split.lost else {}
    return [_write(file, getattr(split, name), dropped, contents[name]) for name, file in files.items()]


def reduce_file(test: Path, out: Path, ratio: float, seed: int, protocol: Protocol) -> Written:
    """Write a share of a test set to `out`, beside its manifest.

    Raises DataError for a file that holds no records and where `out` holds something else.
    """
    file = RecordsFile(out, inputs_of(test), {"ratio": ratio, "seed": seed, "protocol": protocol})
    if before := _before(file):
        return before
    records = read_records(test)
    kept = reduce_records(records, ratio, seed, protocol)
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
    manifest: dict[str, Any] | None = file.made_before()
    return Written(file.path, manifest["kept"], manifest["dropped"], new=False) if manifest else None


def _write(
    file: RecordsFile, records: Sequence[Record], dropped: Mapping[str, int], content: bytes | None = None
) -> Written:
    file.write(records, dropped, content)
    return Written(file.path, counted_by_source(records), dropped, new=True)
