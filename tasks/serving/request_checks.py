"""What a program or the page may send to be run: checked before Gradio looks at it."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tasks.files import fits_utf8
from tasks.json_text import decode_json

Kind = Literal["image", "state", "plain"]
NAME = re.compile(r"[\w-]{1,64}", re.ASCII)


class BadRequestError(ValueError):
    """What was sent cannot be run, in a sentence."""


@dataclass(frozen=True)
class Endpoint:
    """A function of the page: its number, its name for programs, whether it waits its turn, and its inputs."""

    number: int
    name: str | None
    is_queued: bool
    kinds: Sequence[Kind]


def object_in(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; raises BadRequestError where it is none that can be written as JSON again."""
    try:
        found = decode_json(body.decode())
    except ValueError:
        raise BadRequestError("The body is no JSON that can be taken: mend it.") from None
    if not fits_utf8(found):
        # halves of characters are read, but nothing later can write them
        raise BadRequestError("The body holds half a character: mend it.")
    if not isinstance(found, dict):
        raise BadRequestError("The body is no JSON object: send one.")
    return found


def name_in(sent: dict[str, Any], field: str) -> str:
    """A field that holds a name, such as a session's; raises BadRequestError where it does not."""
    value = sent.get(field)
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise BadRequestError(f"{field} is no name: send one of letters and digits, 64 at most.")
    return value


def data_for(endpoint: Endpoint, sent: dict[str, Any], is_own: Callable[[str], bool]) -> list[Any]:
    """What an endpoint is called with; only an image may be a file, and only one that `is_own` knows.

    Raises BadRequestError where something else was sent.
    """
    data = sent.get("data")
    if not isinstance(data, list) or len(data) != len(endpoint.kinds):
        raise BadRequestError(f"data is no list of {len(endpoint.kinds)} values: send one for each input.")
    return [_value(kind, value, is_own) for kind, value in zip(endpoint.kinds, data, strict=True)]


def _value(kind: Kind, value: Any, is_own: Callable[[str], bool]) -> Any:
    if kind == "state":
        # it is the server's alone
        return None
    if kind == "image":
        return value if value is None else _image(value, is_own)
    if any(isinstance(part, dict) for part in _parts(value)):
        raise BadRequestError("Only the image may be a file: send text and numbers as they are.")
    return value


def _image(value: Any, is_own: Callable[[str], bool]) -> dict[str, Any]:
    path = value.get("path") if isinstance(value, dict) else None
    if not isinstance(path, str) or not is_own(path):
        raise BadRequestError("The image is none of your uploads: upload it first; this server fetches and reads none.")
    # nothing else that was said of it: an address would be followed
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def _parts(value: Any) -> Iterator[Any]:
    pending = [value]
    while pending:
        part = pending.pop()
        yield part
        if isinstance(part, list):
            pending += part
