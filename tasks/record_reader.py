"""Read instruction files: the one validation of a record, with one wording for each fault.

A file is a JSON list or JSON Lines. A record keeps its keys, values and order:
{"id": ..., "image": path, "conversations": [{"from": "human" or "gpt", "value": text}, ...]}.
A question is asked about one image, and only a training takes records with several. Models learn the turns of human
and gpt. `rsvlm data filter` and the preparation of a run drop valid records with other images or roles, and count them
by `Fault.reason`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, NotRequired, TypedDict, TypeGuard

from tasks.errors import DataError, shortened
from tasks.image_paths import fault_of_image, is_absolute, leaves_folder
from tasks.json_stream import iterate_values

# both may hold further keys, such as `task`, which are kept
Turn = TypedDict("Turn", {"from": str, "value": str})


class Record(TypedDict):
    """One record of an instruction file: an image and the turns of a conversation about it."""

    id: str | int
    # absent in records of text alone, which only training takes
    image: NotRequired[str]
    conversations: list[Turn]


ROLES = ("human", "gpt")
# the id, or ids, that a record had before it was given one of its own: answers still name it
ORIGINAL_ID = "original_id"
FROM, VALUE = itemgetter("from"), itemgetter("value")

NO_IMAGE = "no image: text alone"
SEVERAL_IMAGES = "several images"
NO_IMAGE_PATH = "image is not a single path"
OUTSIDE = "image path leaves the images folder"
ABSOLUTE = "image path is absolute"
NO_PATH = "image path is not a valid path"
OTHER_ROLE = "turn of a role other than human and gpt"
NO_ANSWER = "no answer to learn from"
PLACEHOLDER_ONLY = "<image> in a record without an image"
LONE_SURROGATE = "half a Unicode character (a lone surrogate)"
FIX = "fix or remove it"
IMPORT = "import the file with `rsvlm data import`"
MADE_SINGLE = " (`rsvlm data import` makes it one)"
FIX_OR_DROP = "fix it, or drop it with `rsvlm data filter --sources all`"


class Fault(NamedTuple):
    """Why a valid record cannot be used: the reason that is counted, and the message about this record."""

    reason: str
    message: str


class Entry(NamedTuple):
    """A value of an instruction file with its location, for messages, and its text."""

    location: str
    value: object
    text: str


Check = Callable[[Record], Fault | None]


def original_ids(record: Mapping[str, object]) -> tuple[object, ...]:
    """The ids that a record had before it was given another one."""
    found = record.get(ORIGINAL_ID)
    return tuple(found) if isinstance(found, list) else () if found is None else (found,)


def with_original(record: Mapping[str, object], name: str | int) -> dict[str, object]:
    """The field of a record whose id `name` is to be replaced."""
    ids = [*original_ids(record), name]
    return {ORIGINAL_ID: ids if len(ids) > 1 else name}


def usability_fault(record: Record) -> Fault | None:
    """Why a record cannot be asked or learned: its image or a turn's role; or None."""
    return image_fault(record) or role_fault(record)


def no_fault(record: Record) -> None:
    """The check of a reader that takes every valid record."""


def read_records(path: Path, check: Check = usability_fault) -> list[Record]:
    """Read and validate all records of a file.

    Raises DataError, naming the record, when the file is cut off or not a list, when a record lacks its id or
    conversations, or when `check` finds a fault.
    """
    return [record for record, _ in iterate_records(path, check)]


def iterate_records(path: Path, check: Check = usability_fault) -> Iterator[tuple[Record, str]]:
    """Yield each record of a file with its text; raises DataError as read_records does, possibly after some records."""
    for entry in iterate_entries(path):
        yield require_record(entry, check), entry.text


def iterate_entries(path: Path) -> Iterator[Entry]:
    """Yield each value of a file, not yet validated; raises DataError when the file is cut off or not a list."""
    for number, listed in enumerate(iterate_values(path), 1):
        yield Entry(f"{path}: {listed.location(f'record {number}')}", listed.value, listed.text)


def require_record(entry: Entry, check: Check, advice: str = FIX_OR_DROP) -> Record:
    """The record of an entry; raises DataError when it is invalid or `check` finds a fault."""
    record = entry.value
    if not is_record(record):
        raise DataError(f"{entry.location}{_id_of(record)} {shape_fault(record)}; {shape_advice(record)}.")
    if fault := check(record):
        raise DataError(f"{entry.location}{_id_of(record)} {fault.message}; {advice}.")
    return record


def _id_of(record: object) -> str:
    name = record.get("id") if isinstance(record, dict) else None
    return "" if name is None else f" (id {shortened(name)})"


def is_record(value: object) -> TypeGuard[Record]:
    """Whether a JSON value has the form of a record, whatever its image and roles."""
    return shape_fault(value) is None


def shape_fault(record: object) -> str | None:
    """What a JSON value lacks to be a record, or None."""
    if not isinstance(record, dict):
        return "is not an object with id, image and conversations"
    name, turns = record.get("id"), record.get("conversations")
    if name is None or name == "":
        return f"has no id{'' if turns or 'id' in record else _keys_of(record)}"
    if not isinstance(name, (str, int)) or isinstance(name, bool):
        return "has an id that is neither a text nor a whole number"
    if not turns:
        return f"has no conversations{'' if 'conversations' in record else _keys_of(record)}"
    if not isinstance(turns, list):
        return "has conversations that are not a list of turns"
    try:
        # without a loop in Python: a file of 91 MB has a million turns
        valid = set(map(type, map(FROM, turns))) | set(map(type, map(VALUE, turns))) == {str}
    except (KeyError, TypeError, IndexError):
        valid = False
    return None if valid else 'has a turn that is not {"from": "human" or "gpt", "value": text}'


def image_fault(record: Mapping[str, object]) -> Fault | None:
    """Why a record has no single image path inside the images folder, or None."""
    image = record.get("image")
    images = image if isinstance(image, list) else record.get("images")
    if isinstance(images, list) and len(images) > 1:
        return Fault(SEVERAL_IMAGES, f"has {len(images)} images, and only a training takes several")
    if image is None or image == "":
        if not images:
            return Fault(NO_IMAGE, "has no image")
        return Fault(NO_IMAGE_PATH, f"has its image under `images`, not as a single path under `image`{MADE_SINGLE}")
    if not isinstance(image, str):
        how = MADE_SINGLE if isinstance(image, list) else ""
        return Fault(NO_IMAGE_PATH, f"has the image {shortened(image)}, which is not a single path{how}")
    if fault := fault_of_image(image):
        return Fault((ABSOLUTE if is_absolute(image) else OUTSIDE) if leaves_folder(image) else NO_PATH, fault)
    return None


def images_of(record: Mapping[str, object]) -> tuple[str, ...]:
    """The paths of a record's images, in order: none, the one under `image`, or those of a list."""
    image = record.get("image") or record.get("images")
    paths = image if isinstance(image, list) else [image] if image else []
    return tuple(path for path in paths if isinstance(path, str))


def first_image(record: Mapping[str, object]) -> str:
    """The path of a record's first image, or an empty text."""
    return next(iter(images_of(record)), "")


def paths_fault(record: Mapping[str, object]) -> Fault | None:
    """As text_only_fault, but a record may have several images, each a path inside the images folder."""
    fault = text_only_fault(record)
    if fault is None or fault.reason != SEVERAL_IMAGES:
        return fault
    listed = record.get("image") or record.get("images")
    each = (image_fault({"image": image}) for image in (listed if isinstance(listed, list) else ()))
    return next((fault for fault in each if fault), None)


def text_only_fault(record: Mapping[str, object]) -> Fault | None:
    """As image_fault, but a record of text alone has no fault: a training set may hold some."""
    fault = image_fault(record)
    return fault if fault and fault.reason != NO_IMAGE else None


def role_fault(record: Mapping[str, object]) -> Fault | None:
    """Whether a turn has a role other than human and gpt, such as system; None for anything that is not a turn."""
    turns = record.get("conversations")
    roles = [turn.get("from") for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
    others = [role for role in roles if isinstance(role, str) and role not in ROLES]
    if not others:
        return None
    return Fault(OTHER_ROLE, f"has a turn from {shortened(others[0])}, and only human and gpt turns are used")


def alternates(turns: Sequence[Turn]) -> bool:
    """Whether turns are human, gpt, human, gpt, ...; a last question may lack its answer."""
    return all(turn["from"] == ROLES[number % 2] for number, turn in enumerate(turns))


def shape_advice(record: object) -> str:
    """What to do about a value that is not a record."""
    if _has_number(record):
        return f"{IMPORT}, or write numbers as text"
    of_another_tool = isinstance(record, dict) and record and "conversations" not in record
    if of_another_tool:
        return f"{IMPORT}, or rewrite it with id, image and conversations in each record"
    return FIX


def _has_number(record: object) -> bool:
    """Whether the value of a turn is a number, which `rsvlm data import` turns into text."""
    turns = record.get("conversations") if isinstance(record, dict) else None
    return any(
        isinstance(turn, dict) and isinstance(turn.get("value"), int | float)
        for turn in (turns if isinstance(turns, list) else ())
    )


def _keys_of(record: Mapping[str, object]) -> str:
    """The keys of a record in another layout, as the end of a message, so that users recognise their file."""
    return f", but {shortened(', '.join(map(str, record)))}" if record else ""
