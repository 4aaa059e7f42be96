"""What was found when every image was looked at: what is broken, which records that costs, what nobody asks for."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.data.fetching.layout import files_of
from tasks.data.image_checks import ImageState
from tasks.data.records_file import Record
from tasks.image_paths import image_key
from tasks.sources import SOURCES


def verification_of(
    images: Path, records: Sequence[Record], states: Mapping[str, ImageState], sources: Collection[str]
) -> dict[str, Any]:
    """The report as JSON: faults with the ids of the records they cost, files of another kind, unreferenced files."""
    ids: dict[str, list[str | int]] = {}
    for record in records:
        ids.setdefault(record["image"], []).append(record["id"])
    return {
        "version": 1,
        "images": len(states),
        "faults": [
            {"image": name, "reason": state.fault, "records": ids[name]}
            for name, state in states.items()
            if state.fault
        ],
        "noticed": [
            {"image": name, "what": state.note, "kind": state.kind} for name, state in states.items() if state.note
        ],
        "unreferenced": _unreferenced(images, states, sources),
    }


def _unreferenced(images: Path, names: Collection[str], sources: Collection[str]) -> list[str]:
    asked = {image_key(name) for name in names}
    folders = [images / SOURCES[name].folder for name in sources if name in SOURCES]
    found = (path.relative_to(images).as_posix() for folder in folders if folder.is_dir() for path in files_of(folder))
    return [name for name in found if name not in asked]
