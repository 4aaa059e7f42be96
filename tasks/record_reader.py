"""Read instruction files: the one validation of a record, with one wording for each fault.

A file is a JSON list or JSON Lines. A record is a raw dict that keeps its keys, values and order:
{"id": ..., "image": path, "conversations": [{"from": "human" or "gpt", "value": text}, ...]}.
The supported models take one image per record and learn the turns of human and gpt. `rsvlm data filter` and the
preparation of a run drop valid records with other images or roles, and count them by `Fault.reason`.
"""

from collections.abc import Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from tasks.errors import DataError, shortened
from tasks.image_paths import fault_of_image, leaves_folder
from tasks.json_stream import iterate_values

Record = dict[str, Any]
Turn = dict[str, str]

ROLES = frozenset(("human", "gpt"))
FROM, VALUE = itemgetter("from"), itemgetter("value")

NO_IMAGE = "no image: text alone"
SEVERAL_IMAGES = "several images"
NO_IMAGE_PATH = "image is not a single path"
OUTSIDE = "image path leaves the images folder"
NO_PATH = "image path is not a valid path"
OTHER_ROLE = "turn of a role other than human and gpt"
NO_ANSWER = "no answer to learn from"
ADVICE = "drop it with `rsvlm data filter --sources all`"
# for files of other tools
REWRITE = "rewrite the file with id, image and conversations in each record"


class Fault(NamedTuple):
    """Why a valid record cannot be used: the reason that is counted, and the message about this record."""

    reason: str
    message: str


def read_records(path: Path, unfiltered: bool = False) -> list[Record]:
    """Read and validate all records of a file.

    Raises DataError, naming the record, when the file is cut off or not a list, when a record lacks its id or
    conversations or, unless `unfiltered`, when it has no image inside the images folder or a turn of another role.
    """
    return [record for record, _ in iterate_records(path, unfiltered)]


def iterate_records(path: Path, unfiltered: bool = False) -> Iterator[tuple[Record, str]]:
    """Yield each record of a file with its text; raises DataError as read_records does, possibly after some records."""
    for index, listed in enumerate(iterate_values(path)):
        require_record(f"{path}: {listed.place(f'record {index}')}", listed.value, unfiltered)
        yield listed.value, listed.text


def require_record(where: str, record: Any, unfiltered: bool) -> None:
    """Raise DataError, naming the record, when it is invalid or, unless `unfiltered`, cannot be used."""
    name = record.get("id") if isinstance(record, dict) else None
    if fault := shape_fault(record):
        advice = REWRITE if isinstance(record, dict) and is_of_another_tool(record) else "fix or remove it"
        raise DataError(f"{where} (id {shortened(name)}) {fault}; {advice}.")
    if not unfiltered and (found := image_fault(record) or role_fault(record)):
        raise DataError(f"{where} (id {shortened(name)}) {found.message}; fix it, or {ADVICE}.")


def shape_fault(record: Any) -> str | None:
    """What a JSON value lacks to be a record, or None."""
    if not isinstance(record, dict):
        return "is not an object with id, image and conversations"
    name, turns = record.get("id"), record.get("conversations")
    if name is None or name == "":
        return f"has no id{'' if turns else keys_of(record)}"
    if not isinstance(name, (str, int)) or isinstance(name, bool):
        return "has an id that is neither a text nor a whole number"
    if not turns:
        return f"has no conversations{'' if 'conversations' in record else keys_of(record)}"
    if not isinstance(turns, list):
        return "has conversations that are not a list of turns"
    try:
        # without a loop in Python: a file of 91 MB has a million turns
        valid = set(map(type, map(FROM, turns))) | set(map(type, map(VALUE, turns))) == {str}
    except (KeyError, TypeError, IndexError):
        valid = False
    return None if valid else 'has a turn that is not {"from": "human" or "gpt", "value": text}'


def image_fault(record: Mapping[str, Any]) -> Fault | None:
    """Why a record has no single image path inside the images folder, or None."""
    image = record.get("image")
    images = image if isinstance(image, list) else record.get("images")
    if isinstance(images, list) and len(images) > 1:
        return Fault(SEVERAL_IMAGES, f"has {len(images)} images, and the supported models take one")
    if image is None or image == "":
        if not images:
            return Fault(NO_IMAGE, "has no image")
        return Fault(NO_IMAGE_PATH, "has its image under `images`, not as a single path under `image`")
    if not isinstance(image, str):
        return Fault(NO_IMAGE_PATH, f"has the image {shortened(image)}, which is not a single path")
    if fault := fault_of_image(image):
        return Fault(OUTSIDE if leaves_folder(image) else NO_PATH, fault)
    return None


def role_fault(record: Mapping[str, Any]) -> Fault | None:
    """Whether a turn has a role other than human and gpt, such as system; None for anything that is not a turn."""
    turns = record.get("conversations")
    roles = [turn.get("from") for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
    others = [role for role in roles if isinstance(role, str) and role not in ROLES]
    if not others:
        return None
    return Fault(OTHER_ROLE, f"has a turn from {shortened(others[0])}, and only human and gpt turns are used")


def is_of_another_tool(record: Mapping[str, Any]) -> bool:
    """Whether a record has other keys but no conversations, as in the files of other tools."""
    return bool(record) and "conversations" not in record


def keys_of(record: Mapping[str, Any]) -> str:
    """The keys of a record in another layout, as the end of a message, so that users recognise their file."""
    return f", but {shortened(', '.join(map(str, record)))}" if record else ""
