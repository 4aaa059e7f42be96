"""Records as a training takes them: an image may be lacking, and the turns are looked at when samples are made."""

from pathlib import Path
from typing import Any

from tasks.errors import DataError
from tasks.image_paths import require_images_inside
from tasks.json_stream import iterate_values

VALIDATION = "data_val"


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of a file; raises DataError for what is no record, or whose image lies outside the images folder."""
    records = []
    for index, listed in enumerate(iterate_values(path)):
        if not _is_record(listed.value):
            place = listed.place(f"record {index}")
            raise DataError(f"{path}: {place} lacks an id or turns with from and value: mend or drop it.")
        records.append(listed.value)
    require_images_inside(path, records)
    return records


def read_set(folder: Path, name: str) -> list[dict[str, Any]]:
    """The records of a dataset's set; none of a validation set for which train and test leave no share."""
    path = folder / f"{name}.json"
    return read_records(path) if name != VALIDATION or path.exists() else []


def _is_record(record: Any) -> bool:
    if not isinstance(record, dict) or not isinstance(record.get("id"), str | int):
        return False
    image, turns = record.get("image"), record.get("conversations")
    if not isinstance(turns, list) or not (image is None or isinstance(image, str)):
        return False
    return all(isinstance(turn, dict) and {"from", "value"} <= turn.keys() for turn in turns) and all(
        isinstance(turn["value"], str) for turn in turns
    )
