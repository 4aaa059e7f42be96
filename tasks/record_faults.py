"""What keeps a sound record from being used: `rsvlm data filter` and preparing a run drop it for this, and count it.

A model of this family sees one image a record, and learns what human and gpt say.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tasks.errors import shortened
from tasks.image_paths import fault_of_image, leaves_folder

ROLES = frozenset(("human", "gpt"))

NO_IMAGE = "no image: text alone"
SEVERAL_IMAGES = "several images"
NO_IMAGE_PATH = "image that is not given as one path"
OUTSIDE = "image path leaves the image folder"
NO_PATH = "image path that no file can have"
OTHER_ROLE = "turn of another role than human and gpt"
ADVICE = "drop it with `rsvlm data filter --sources all`"
# of a record that another tool wrote
WRITE_ANEW = "write the file anew with id, image and conversations in each record"


class Fault(NamedTuple):
    """The reason that is counted, and what a message says of the record."""

    reason: str
    said: str


def image_fault(record: Mapping[str, Any]) -> Fault | None:
    """Why a record shows no image that can be looked for, or None."""
    image = record.get("image")
    images = image if isinstance(image, list) else record.get("images")
    if isinstance(images, list) and len(images) > 1:
        return Fault(SEVERAL_IMAGES, f"has {len(images)} images, and a model of this family takes one")
    if image is None or image == "":
        if not images:
            return Fault(NO_IMAGE, "has no image")
        return Fault(NO_IMAGE_PATH, "has its image under `images`, not as one path under `image`")
    if not isinstance(image, str):
        return Fault(NO_IMAGE_PATH, f"has the image {shortened(image)}, which is not one path")
    if fault := fault_of_image(image):
        return Fault(OUTSIDE if leaves_folder(image) else NO_PATH, fault)
    return None


def keys_of(record: Mapping[str, Any]) -> str:
    """What stands in a record of another layout, by which its user knows the file; nothing of an empty one."""
    return f", but {shortened(', '.join(map(str, record)))}" if record else ""


def of_another_tool(record: Mapping[str, Any]) -> bool:
    """Whether a record has something else than conversations, as those of other tools have."""
    return bool(record) and "conversations" not in record


def role_fault(record: Mapping[str, Any]) -> Fault | None:
    """Whether a turn is said by somebody else than human and gpt, such as system; None also of what are no turns."""
    turns = record.get("conversations")
    said_by = [turn.get("from") for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
    others = [name for name in said_by if isinstance(name, str) and name not in ROLES]
    if not others:
        return None
    return Fault(OTHER_ROLE, f"has a turn from {shortened(others[0])}, and only human and gpt are asked and learned")
