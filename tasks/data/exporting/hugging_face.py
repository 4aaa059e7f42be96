"""A Hugging Face dataset folder: data/SPLIT-*.parquet with the images, and README.md; for `datasets.load_dataset`.

Rows of one image that follow each other share its bytes, as parquet stores repeated values once per row group.
"""

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from tasks.data.importing.image_names import find_image
from tasks.data.records_file import own_split
from tasks.errors import ConfigError, DataError, shortened
from tasks.files import digest_of, fits_utf8, write_text
from tasks.manifests import atomic_folder, require_free_folder, verified_manifest, write_manifest
from tasks.record_reader import FIX, LONE_SURROGATE, Record, iterate_records

SPLITS = {"train": "train", "val": "validation", "test": "test"}
UNSPLIT = "train"
# the split of records without one, where others have one
OTHERS = "others"
FIELD = "field {} of a record or turn, which is not a text"
ROWS_PER_GROUP, BYTES_PER_GROUP = 5_000, 256 << 20
MAX_INT64 = 2**63 - 1
# above the bytes of all images in a row group: else parquet repeats them
DICTIONARY_BYTES = 1 << 30
CARD = """---
configs:
- config_name: default
  data_files:
{files}---

Records of {name}, converted by rsvlm: image, conversation and fields of each record.
"""


class _Columns(NamedTuple):
    """What all records have in common: the type of the ids, the further fields of records and turns, the splits."""

    whole_ids: bool
    fields: tuple[str, ...]
    turn_fields: tuple[str, ...]
    splits: tuple[str, ...]


def write(dataset: Path, out: Path, images: Path, inputs: Mapping[str, str], lost: Counter[str]) -> str:
    """Write one row per record; fields that are not texts are counted as lost.

    Raises DataError for missing images, ConfigError if pyarrow is not installed, and OccupiedError if `out` holds
    other content.
    """
    _require_pyarrow()
    columns, rows = _read_columns(dataset, images, lost)
    fingerprint = digest_of({"inputs": inputs, "images": str(images), "format": "hf"})
    require_free_folder(out, fingerprint, f"{out} holds other content: give another folder, or move it away.")
    if verified_manifest(out, fingerprint) is None:
        with atomic_folder(out) as part:
            _write_rows(dataset, part, images, columns)
            _write_card(part, dataset, columns)
            write_manifest(part, fingerprint, {"rows": rows, "dropped": dict(lost)})
    return ", ".join(f"{split} {number}" for split, number in rows.items()) + " rows"


def _require_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ConfigError("The format hf needs pyarrow: pip install 'rsvlm[hf]'.") from None


def _read_columns(dataset: Path, images: Path, lost: Counter[str]) -> tuple[_Columns, dict[str, int]]:
    whole_ids, fields, turn_fields = True, _Fields(lost), _Fields(lost)
    rows: Counter[str | None] = Counter()
    names: dict[str, None] = {}
    for record, _ in iterate_records(dataset):
        whole_ids &= isinstance(record["id"], int) and abs(record["id"]) <= MAX_INT64
        fields.add(record, {"id", "image", "conversations", "split"})
        for turn in record["conversations"]:
            turn_fields.add(turn, {"from", "value"})
        rows[own_split(record)] += 1
        names[record["image"]] = None
    if not rows:
        raise DataError(f"{dataset} holds no record: give a file with records.")
    _require_images(names, images)
    some_have, by_split = any(rows.keys() - {None}), Counter[str]()
    for split, number in rows.items():
        by_split[_split_of(split, some_have)] += number
    return _Columns(whole_ids, fields.names, turn_fields.names, tuple(by_split)), dict(by_split)


class _Fields:
    """The names of fields whose values are texts; others are counted as lost."""

    def __init__(self, lost: Counter[str]):
        self._lost, self._names = lost, dict[str, bool]()

    def add(self, entry: Mapping[str, Any], known: set[str]) -> None:
        for key in entry.keys() - known:
            is_text = isinstance(entry[key], str)
            self._names[key] = self._names.get(key, False) or is_text
            if not is_text and entry[key] is not None:
                self._lost[FIELD.format(key)] += 1

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(name for name, is_text in self._names.items() if is_text))


def _require_images(names: Mapping[str, None], images: Path) -> None:
    missing = [name for name in names if not find_image(images, name)]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(names)} images are not in {images}, first {missing[0]}: give the folder that "
            "image paths start from with --images, or drop their records."
        )


def _split_of(split: str | None, some_have: bool) -> str:
    if split is None:
        return OTHERS if some_have else UNSPLIT
    return SPLITS.get(split, OTHERS)


def _write_rows(dataset: Path, folder: Path, images: Path, columns: _Columns) -> None:
    with ExitStack() as stack:
        writers = {
            split: stack.enter_context(_SplitWriter(folder / "data" / f"{split}-00000-of-00001.parquet", columns))
            for split in columns.splits
        }
        some_have = columns.splits != (UNSPLIT,)
        for record, _ in iterate_records(dataset):
            file = find_image(images, record["image"])
            assert file, "all images were there"
            writers[_split_of(own_split(record), some_have)].add(record, file)


class _SplitWriter:
    """Writes the rows of one split in groups that are small enough for memory."""

    def __init__(self, path: Path, columns: _Columns):
        from pyarrow import parquet

        path.parent.mkdir(parents=True, exist_ok=True)
        self._columns, self._schema = columns, _schema(columns)
        self._writer = parquet.ParquetWriter(
            path, self._schema, use_dictionary=["image.bytes", "image.path"], dictionary_pagesize_limit=DICTIONARY_BYTES
        )
        self._rows: list[dict[str, Any]] = []
        self._bytes: dict[str, bytes] = {}
        self._size_bytes = 0

    def __enter__(self) -> "_SplitWriter":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def add(self, record: Record, file: Path) -> None:
        """Write one record with its image."""
        name = record["image"]
        if name not in self._bytes:
            self._bytes[name] = file.read_bytes()
        self._rows.append(_row(record, self._bytes[name], self._columns))
        # each row's, since pyarrow copies the image for each before parquet stores it once
        self._size_bytes += len(self._bytes[name])
        if len(self._rows) >= ROWS_PER_GROUP or self._size_bytes >= BYTES_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        if self._rows:
            try:
                self._writer.write_table(pyarrow.Table.from_pylist(self._rows, schema=self._schema))
            except UnicodeEncodeError:
                name = next(row["id"] for row in self._rows if not fits_utf8({**row, "image": row["image"]["path"]}))
                raise DataError(f"The record {shortened(name)} has {LONE_SURROGATE}: {FIX}.") from None
        self._rows, self._bytes, self._size_bytes = [], {}, 0


def _row(record: Record, image: bytes, columns: _Columns) -> dict[str, Any]:
    def texts(entry: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str | None]:
        return {name: entry[name] if isinstance(entry.get(name), str) else None for name in names}

    return {
        "id": record["id"] if columns.whole_ids else str(record["id"]),
        "image": {"bytes": image, "path": record["image"]},
        "conversations": [texts(turn, ("from", "value", *columns.turn_fields)) for turn in record["conversations"]],
        **texts(record, columns.fields),
    }


def _schema(columns: _Columns) -> Any:
    """The columns of a file, with the features that `datasets` reads from its metadata."""
    import pyarrow

    text, whole = pyarrow.string(), pyarrow.int64()
    turn = pyarrow.struct([(name, text) for name in ("from", "value", *columns.turn_fields)])
    types = {
        "id": whole if columns.whole_ids else text,
        "image": pyarrow.struct([("bytes", pyarrow.binary()), ("path", text)]),
        "conversations": pyarrow.list_(turn),
        **dict.fromkeys(columns.fields, text),
    }
    value = {"dtype": "string", "_type": "Value"}
    features = {
        "id": {"dtype": "int64", "_type": "Value"} if columns.whole_ids else value,
        "image": {"_type": "Image"},
        "conversations": [dict.fromkeys(("from", "value", *columns.turn_fields), value)],
        **dict.fromkeys(columns.fields, value),
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pyarrow.schema(list(types.items()), metadata=metadata)


def _write_card(folder: Path, dataset: Path, columns: _Columns) -> None:
    files = "".join(f"  - split: {split}\n    path: data/{split}-*.parquet\n" for split in columns.splits)
    write_text(folder / "README.md", CARD.format(files=files, name=dataset.name))
