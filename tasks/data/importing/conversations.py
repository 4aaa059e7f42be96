"""A conversation of another tool as turns of human and gpt, with its one image.

Roles are human and gpt, or user and assistant; a content is a text, or a list of parts with `type` text or image.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.data.importing.examples import (
    NO_ANSWER,
    NO_QUESTION,
    NOT_TEXT,
    Entry,
    Example,
    Lost,
    as_id,
    as_list,
    as_text,
    split_field,
)
from tasks.prompt_text import IMAGE_PLACEHOLDER, with_placeholder, without_placeholder
from tasks.record_reader import NO_IMAGE, OTHER_ROLE, SEVERAL_IMAGES, Turn

SYSTEM = "system turn or prompt"
MEDIA = "video or audio"
MEDIA_PARTS = ("video", "video_url", "audio", "audio_url", "input_audio")
TOOLS = "description of tools"
# what ms-swift writes for the names and boxes in `objects`
NAME_MARK, BOX_MARK = MARKS = ("<ref-object>", "<bbox>")
UNFILLED = "<ref-object> or <bbox> without a name or box in objects"
ROLES = {
    **dict.fromkeys(("human", "user"), "human"),
    **dict.fromkeys(("gpt", "assistant", "model", "chatgpt", "bot"), "gpt"),
    "system": "system",
}
# one placeholder, at the end of its line: after a task tag, and before or after the words
ON_ITS_LINE = re.compile(r"((?!<image>).)*<image>(\n((?!<image>).)*)?", re.DOTALL)
TURN_KEYS = {"from", "value", "role", "content"}
# keys of the layout; all others are kept as fields of the record
LAYOUT = {
    "id", "image", "images", "conversations", "conversation", "messages", "system", "tools", "objects", "split",
    "videos", "audios", "video", "audio",
}  # fmt: skip


class LostRecordError(Exception):
    """A conversation that cannot become a record; the argument is the reason that is counted."""


def read_conversation(entry: Entry, turns: object, lost: Lost) -> Example | None:
    """The example of an entry with these turns; None, and the reason counted, where it cannot become a record."""
    try:
        images, said = _images(entry), list(_turns(turns, lost))
        return _example(entry, images, said, lost)
    except LostRecordError as reason:
        lost[str(reason)] += 1
        return None


def _example(entry: Entry, images: list[str], said: list[tuple[Turn, list[str]]], lost: Lost) -> Example:
    if any(entry.get(key) for key in ("videos", "audios", "video", "audio")):
        raise LostRecordError(MEDIA)
    images = images or [name for _, names in said for name in names]
    if len(images) != 1:
        raise LostRecordError(SEVERAL_IMAGES if images else NO_IMAGE)
    turns = [turn for turn, _ in said]
    if entry.get("objects") is not None and any(mark in turn["value"] for turn in turns for mark in MARKS):
        raise LostRecordError(UNFILLED)
    if not any(turn["from"] == "human" for turn in turns):
        raise LostRecordError(NO_QUESTION)
    if not any(turn["from"] == "gpt" and turn["value"].strip() for turn in turns):
        raise LostRecordError(NO_ANSWER)
    for key, reason in (("system", SYSTEM), ("tools", TOOLS)):
        if entry.get(key):
            lost[reason] += 1
    fields = {key: value for key, value in entry.items() if key not in LAYOUT and value is not None}
    fields = {**split_field(entry.get("split"), lost), **fields}
    return Example(as_id(entry.get("id")), (images[0],), _with_image_first(turns), fields)


def _turns(turns: object, lost: Lost) -> Iterator[tuple[Turn, list[str]]]:
    """Each turn of human or gpt, with the images among its parts."""
    for turn in as_list(turns):
        if not isinstance(turn, dict):
            raise LostRecordError(NOT_TEXT)
        role = ROLES.get(str(turn.get("from", turn.get("role"))).lower())
        if role is None:
            raise LostRecordError(OTHER_ROLE)
        if role == "system":
            lost[SYSTEM] += 1
            continue
        text, images = _content(turn.get("value", turn.get("content")))
        further = {key: value for key, value in turn.items() if key not in TURN_KEYS and value is not None}
        yield {"from": role, "value": text, **further}, images


def _content(content: object) -> tuple[str, list[str]]:
    if not isinstance(content, list):
        text = as_text(content)
        if text is None:
            raise LostRecordError(NOT_TEXT)
        return text, []
    texts, images = [], []
    for part in (part for part in content if isinstance(part, dict)):
        if part.get("type") in MEDIA_PARTS:
            raise LostRecordError(MEDIA)
        if "text" in part:
            texts.append(str(part["text"]))
        elif image := _image_of_part(part):
            images.append(image)
    return "\n".join(texts), images


def _image_of_part(part: Mapping[str, Any]) -> str | None:
    found = next((part[key] for key in ("image", "image_url", "path", "url") if part.get(key)), None)
    if isinstance(found, dict):
        found = found.get("url") or found.get("path")
    return found if isinstance(found, str) else None


def _images(entry: Entry) -> list[str]:
    """The image paths of an entry, from `image` or `images`: a path, a list of paths, or objects with a path."""
    found = entry.get("image") or entry.get("images") or []
    listed = found if isinstance(found, list) else [found]
    paths = [each.get("path") if isinstance(each, dict) else each for each in listed]
    return [path for path in paths if isinstance(path, str) and path]


def _with_image_first(turns: list[Turn]) -> list[Turn]:
    """The turns with one placeholder, in the first human turn."""
    first = next(index for index, turn in enumerate(turns) if turn["from"] == "human")
    placed: list[Turn] = []
    for index, turn in enumerate(turns):
        text = turn["value"]
        if index == first:
            text = text if ON_ITS_LINE.fullmatch(text) else with_placeholder(text)
        elif turn["from"] == "human" and IMAGE_PLACEHOLDER in text:
            text = without_placeholder(text)
        placed.append({**turn, "value": text})
    return placed
