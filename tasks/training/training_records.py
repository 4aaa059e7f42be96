"""Records as a training takes them: an image may be lacking, and the turns are looked at when samples are made."""

from pathlib import Path
from typing import Any

from tasks.errors import DataError
from tasks.files import read_json
from tasks.image_paths import require_images_inside


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of a file; raises DataError for what is no record, or whose image lies outside the images folder."""
    records = read_json(path)
    if not isinstance(records, list):
        raise DataError(f"{path} is not a list of records: give a file as LLaVA has it.")
    for number, record in enumerate(records, 1):
        if not _is_record(record):
            raise DataError(f"Record {number} of {path} lacks an id or turns with from and value: mend or drop it.")
    require_images_inside(path, records)
    return records


def _is_record(record: Any) -> bool:
    if not isinstance(record, dict) or not isinstance(record.get("id"), str | int):
        return False
    image, turns = record.get("image"), record.get("conversations")
    if not isinstance(turns, list) or not (image is None or isinstance(image, str)):
        return False
    return all(isinstance(turn, dict) and {"from", "value"} <= turn.keys() for turn in turns) and all(
        isinstance(turn["value"], str) for turn in turns
    )
