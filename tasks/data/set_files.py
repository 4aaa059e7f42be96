"""Filter, split and reduce instruction files; a file already written from the same inputs and parameters is kept."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tasks.choices import DrawProtocol, SplitProtocol
from tasks.data.custom_sources import SourceFacts
from tasks.data.image_folders import require_folders
from tasks.data.record_checks import ALL, SOURCE_PREFIX, outside_advice, reason_to_drop, require_sources
from tasks.data.records_file import (
    AnyRecord,
    RecordsFile,
    RecordSlice,
    counted_by_source,
    describe_counts,
    digest_of_content,
    iterate_records,
    joined,
    read_slices,
    slice_of,
    tasks_of_slices,
)
from tasks.data.splitting import leaves_validation, reduce_records, shared_images, split_records
from tasks.errors import DataError
from tasks.files import sha256_of
from tasks.paths import SET_FILES
from tasks.record_reader import Record, no_fault, role_fault
from tasks.settings import DataConfig
from tasks.sources import SOURCES, UNNAMED
from tasks.turn_tasks import TasksBySource, is_task_counts

LEFT_OVER = "left over by the reference protocol"
NO_SPLIT = "no split of its own (train, val or test)"
REDUCED = "not in the requested share"
LOST = "source {} has no record in the share, which the reference protocol rounds down"


@dataclass(frozen=True)
class SplitParameters:
    """How a dataset is divided: shares of each source for training and test; the rest is for validation."""

    train: float
    test: float
    seed: int
    protocol: SplitProtocol


@dataclass(frozen=True)
class WrittenFile:
    """A written instruction file with the counts of its manifest; `new` when this call wrote it.

    `noticed` are numbers of further things to know, by reason.
    """

    path: Path
    kept: Mapping[str, int]
    tasks: TasksBySource
    dropped: Mapping[str, int]
    new: bool
    noticed: Mapping[str, int] = field(default_factory=dict)


def filter_file(
    raw: Path, out: Path, sources: Sequence[str], unnamed: str = UNNAMED, config: DataConfig | None = None
) -> WrittenFile:
    """Write the records of the chosen sources, and their manifest, to `out`.

    `unnamed` is the source of images whose paths have no folder; what `config` states of sources and image folders
    is written onto their records. Raises DataError for a file without records or without records of these sources,
    for an image folder that neither exists nor is in the paths, where absolute paths leave no record, and where
    `out` holds other content. If other faults rule out all records, `out` is an empty list whose manifest counts
    them.
    """
    own = _own_parameters(config) if config else {}
    file = RecordsFile(out, inputs_of(raw), {"sources": list(sources), **own}, unnamed=unnamed)
    if before := _written_before(file):
        return before
    kept: list[RecordSlice] = []
    dropped: Counter[str] = Counter()
    facts = SourceFacts(config.model_copy(update={"unnamed_source": unnamed})) if config and own else None
    for record, text in _applied(raw, facts):
        if reason := reason_to_drop(record, sources, unnamed):
            dropped[reason] += 1
        elif fault := role_fault(record):
            dropped[fault.reason] += 1
        else:
            kept.append(slice_of(record, text))
    _require_folders(config, facts)
    if tuple(sources) != ALL and (kept or not _all_faulty(dropped)):
        # a default source may have no records in this file; an unknown name is a typing error
        unknown = [name for name in sources if name not in SOURCES]
        require_sources(kept, unknown if kept else sources, dropped, unnamed)
    if not kept and (advice := outside_advice(dropped)):
        raise DataError(f"{out} would hold no record ({describe_counts(dropped)}){advice}.")
    if facts:
        file = RecordsFile(out, inputs_of(raw), {"sources": list(sources), **own}, facts.noticed, unnamed)
    written = _write(file, kept, dropped)
    return replace(written, noticed=facts.noticed) if facts else written


def _require_folders(config: DataConfig | None, facts: SourceFacts | None) -> None:
    # absolute paths below a folder name it rightly, even if it is on another machine
    if config and facts:
        require_folders({name: each for name, each in config.image_root.items() if facts.must_exist(name, each)})


def _own_parameters(config: DataConfig) -> dict[str, object]:
    """The settings of sources and image folders, for a manifest; empty without any."""
    folders = {"image_root": {name: str(folder) for name, folder in config.image_root.items()}}
    custom = {"custom_sources": config.content["custom_sources"]}
    return {**(custom if config.custom_sources else {}), **(folders if config.image_root else {})}


def _applied(raw: Path, facts: SourceFacts | None) -> Iterator[tuple[Record, str | None]]:
    """The records of a file with what the settings state; with their text where it is unchanged."""
    for record, text in iterate_records(raw, no_fault):
        for applied in facts.applied(record) if facts else [record]:
            yield applied, text if applied is record else None


def _all_faulty(dropped: Mapping[str, int]) -> bool:
    return bool(dropped) and not any(reason.startswith(SOURCE_PREFIX) for reason in dropped)


def split_file(dataset: Path, out: Path, parameters: SplitParameters, unnamed: str = UNNAMED) -> list[WrittenFile]:
    """Write data_train.json, data_val.json and data_test.json, each with its manifest, into the folder `out`.

    Where train and test sum to 1 there is no data_val.json; under the protocol `own` there is none of a set that no
    record states. Raises DataError for a file without records and, before anything is written, where one of the three
    files has other content.
    """
    files = {
        name: RecordsFile(path, inputs_of(dataset), asdict(parameters), unnamed=unnamed)
        for name, path in set_paths(out).items()
    }
    if before := _split_before(files, parameters):
        return before
    split = split_records(read_slices(dataset), **asdict(parameters))
    sets: dict[str, list[RecordSlice]] = {name: getattr(split, name) for name in files}
    _require_filled(sets, parameters, dataset)
    for name, file in files.items():
        if file.path.exists() or file.manifest_path.exists():
            file.require_free(digest_of_content(_joined(sets[name])))
    dropped = {lost_reason(parameters.protocol): split.lost} if split.lost else {}
    # the other protocols keep all records of an image together, or are as the reference has them
    noticed = shared_images(sets["train"], sets["test"]) if parameters.protocol == "own" else {}
    written = [_write(files[name], sets[name], dropped) for name in _names(parameters, sets)]
    return [replace(each, noticed=noticed) for each in written]


def lost_reason(protocol: SplitProtocol) -> str:
    """Why a split leaves records out."""
    return NO_SPLIT if protocol == "own" else LEFT_OVER


def _names(parameters: SplitParameters, sets: Mapping[str, Sequence[RecordSlice]]) -> list[str]:
    """The sets to be written."""
    if parameters.protocol == "own":
        return [name for name, records in sets.items() if records]
    validates = leaves_validation(parameters.train, parameters.test, parameters.protocol)
    return [name for name in sets if name != "val" or validates]


def _split_before(files: Mapping[str, RecordsFile], parameters: SplitParameters) -> list[WrittenFile]:
    """The files of an earlier call with the same inputs and parameters, if it wrote all of them; else nothing."""
    if parameters.protocol == "own":
        # which files there are depends on the records
        return []
    names = _names(parameters, dict.fromkeys(files, ()))
    before = [_written_before(files[name]) for name in names]
    if all(before) and ("val" in names or not files["val"].path.exists()):
        return [written for written in before if written]
    return []


def _require_filled(sets: Mapping[str, Sequence[RecordSlice]], parameters: SplitParameters, dataset: Path) -> None:
    if parameters.protocol == "own" and not any(sets.values()):
        raise DataError(
            f"No record of {dataset} states its set in a field split (train, val or test): use --protocol grouped."
        )
    # under the reference protocol, a set that its scripts leave empty stays empty
    for name, share in (("train", parameters.train), ("test", parameters.test)):
        if share and any(sets.values()) and not sets[name] and parameters.protocol == "grouped":
            raise DataError(
                f"No image is left for {SET_FILES[name]}, since all records of an image stay together: add images, or "
                "change the shares."
            )


def reduce_file(
    test: Path, out: Path, ratio: float, seed: int, protocol: DrawProtocol, unnamed: str = UNNAMED
) -> WrittenFile:
    """Write a share of a test set, and its manifest, to `out`.

    Raises DataError for a file without records and where `out` holds other content.
    """
    file = RecordsFile(out, inputs_of(test), {"ratio": ratio, "seed": seed, "protocol": protocol}, unnamed=unnamed)
    if before := _written_before(file):
        return before
    records = read_slices(test)
    kept: list[RecordSlice] = reduce_records(records, ratio, seed, protocol)
    return _write(file, kept, dropped_by_reducing(records, kept, unnamed))


def dropped_by_reducing(records: Sequence[AnyRecord], kept: Sequence[AnyRecord], unnamed: str) -> dict[str, int]:
    """The numbers of records that a reduction left out, by reason; a source without records left has its own reason."""
    before, after = counted_by_source(records, unnamed), counted_by_source(kept, unnamed)
    lost = {LOST.format(source): number for source, number in before.items() if source not in after}
    others = len(records) - len(kept) - sum(lost.values())
    return ({REDUCED: others} if others else {}) | lost


def set_paths(folder: Path) -> dict[str, Path]:
    """The paths of a split's files, by set: train, val, test."""
    return {name: folder / file for name, file in SET_FILES.items()}


def inputs_of(path: Path) -> dict[str, str]:
    """An input file's name and SHA-256; raises DataError when it is missing."""
    if not path.is_file():
        raise DataError(f"{path} is not a file: give the path of an existing JSON file.")
    return {path.name: sha256_of(path)}


def _written_before(file: RecordsFile) -> WrittenFile | None:
    manifest = file.up_to_date_manifest() or {}
    kept, tasks, dropped = (manifest.get(key) for key in ("kept", "tasks", "dropped"))
    if not (isinstance(kept, dict) and isinstance(dropped, dict) and is_task_counts(tasks)):
        return None
    noticed = manifest.get("repaired")
    return WrittenFile(file.path, kept, tasks, dropped, new=False, noticed=noticed if isinstance(noticed, dict) else {})


def _joined(slices: Sequence[RecordSlice]) -> bytes:
    return joined(one["content"] for one in slices)


def _write(file: RecordsFile, slices: list[RecordSlice], dropped: Mapping[str, int]) -> WrittenFile:
    kept, tasks = counted_by_source(slices, file.unnamed), tasks_of_slices(slices, file.unnamed)
    file.write_content(_joined(slices), kept, dropped, tasks)
    return WrittenFile(file.path, kept, tasks, dropped, new=True)
