"""Check what a program or the page sends to be run, before Gradio sees it."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.files import fits_utf8
from tasks.json_text import decode_json

Kind = Literal["image", "state", "plain"]
# pattern of the ids of sessions, events and visitors
NAME = re.compile(r"[\w-]{1,64}", re.ASCII)


class BadRequestError(ValueError):
    """A request that cannot be run; the message is a sentence for its sender."""


@dataclass(frozen=True)
class Endpoint:
    """A function of the page: its number, its name in the API if it has one, whether it is queued, and its inputs."""

    number: int
    name: str | None
    is_queued: bool
    kinds: Sequence[Kind]


def parse_object(body: bytes) -> dict[str, object]:
    """The JSON object of a body; raises BadRequestError for anything that cannot be written as JSON again."""
    try:
        found = decode_json(body.decode())
    except ValueError:
        raise BadRequestError("The body is not valid JSON: correct it.") from None
    if not fits_utf8(found):
        # lone surrogates can be read from JSON, but not be written later
        raise BadRequestError("The body holds half a Unicode character: correct it.")
    if not isinstance(found, dict):
        raise BadRequestError("The body is not a JSON object: send one.")
    return found


def name_in(sent: Mapping[str, object], field: str) -> str:
    """The value of a field that holds a name, such as a session's; raises BadRequestError for anything else."""
    value = sent.get(field)
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise BadRequestError(f"{field} is not a name: send at most 64 letters, digits, dashes and underscores.")
    return value


def inputs_for(endpoint: Endpoint, sent: Mapping[str, object], is_own: Callable[[str], bool]) -> list[object]:
    """The inputs that an endpoint is called with.

    Only an image may be a file, and only one for which `is_own(path)` holds. Raises BadRequestError otherwise.
    """
    data = sent.get("data")
    if not isinstance(data, list) or len(data) != len(endpoint.kinds):
        raise BadRequestError(f"data is not a list of {len(endpoint.kinds)} values: send one for each input.")
    return [_input(kind, value, is_own) for kind, value in zip(endpoint.kinds, data, strict=True)]


def _input(kind: Kind, value: object, is_own: Callable[[str], bool]) -> object:
    if kind == "state":
        # kept on the server only
        return None
    if kind == "image":
        return value if value is None else _image(value, is_own)
    if any(isinstance(part, dict) for part in _parts(value)):
        raise BadRequestError("Only the image may be a file: send text and numbers as they are.")
    return value


def _image(value: object, is_own: Callable[[str], bool]) -> dict[str, object]:
    path = value.get("path") if isinstance(value, dict) else None
    if not isinstance(path, str) or not is_own(path):
        raise BadRequestError(
            "The image is not one of your uploads: upload it first; this server fetches no addresses and reads no "
            "other files."
        )
    # no other field: Gradio would fetch a URL
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def _parts(value: object) -> Iterator[object]:
    """Yield a value and all members of nested lists."""
    pending = [value]
    while pending:
        part = pending.pop()
        yield part
        if isinstance(part, list):
            pending += part
