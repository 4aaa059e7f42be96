"""ms-swift: `messages` with role and content, `query` and `response` with `history`, or `conversation` pairs.

`objects` holds what `<ref-object>` and `<bbox>` in the texts stand for. Alpaca's `instruction`, `input` and `output`
are read, too.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tasks.data.importing.conversations import BOX_MARK, NAME_MARK, read_conversation
from tasks.data.importing.examples import NOT_AN_OBJECT, Entry, Example, Lost, as_list
from tasks.data.importing.head import Head
from tasks.json_stream import iterate_values
from tasks.json_text import decode_json

SPENT = ("query", "response", "history", "instruction", "input", "output")


def recognises(head: Head) -> bool:
    """Whether the entries of a list have one of ms-swift's layouts."""
    return recognises_own(head) or (not head.member and isinstance(head.entry.get("messages"), list))


def recognises_own(head: Head) -> bool:
    """Whether only ms-swift writes it so: LLaMA-Factory has a JSON list of the same `messages`."""
    keys = head.entry.keys()
    if head.member or "conversations" in keys:
        return False
    has_messages = isinstance(head.entry.get("messages"), list)
    return (has_messages and (head.lines or "objects" in keys)) or any(
        names <= keys for names in ({"query", "response"}, {"conversation"}, {"instruction", "output"})
    )


def read(files: Sequence[Path], lost: Lost) -> Iterator[Example]:
    """Yield an example per conversation with one image; its id is `id`."""
    for listed in (listed for path in files for listed in iterate_values(path)):
        if not isinstance(listed.value, dict):
            lost[NOT_AN_OBJECT] += 1
            continue
        entry = {key: value for key, value in listed.value.items() if key not in SPENT}
        if example := read_conversation(entry, fill_objects(entry, _messages(listed.value)), lost):
            yield example


def _messages(entry: Entry) -> object:
    if "messages" in entry:
        return entry["messages"]
    pairs = [*as_list(entry.get("history"))]
    if "query" in entry:
        pairs.append((entry["query"], entry.get("response")))
    elif "instruction" in entry:
        asked = [str(entry[key]) for key in ("instruction", "input") if entry.get(key)]
        pairs.append(("\n".join(asked), entry.get("output")))
    else:
        told = (each for each in as_list(entry.get("conversation")) if isinstance(each, dict))
        pairs += [(each.get("human"), each.get("assistant")) for each in told]
    return [
        {"role": role, "content": text}
        for pair in pairs
        if isinstance(pair, list | tuple) and len(pair) == 2
        for role, text in zip(("user", "assistant"), pair, strict=True)
        if text is not None
    ]


def fill_objects(entry: Entry, turns: object) -> object:
    """The turns with the names and boxes of `objects` instead of `<ref-object>` and `<bbox>`, in their order."""
    names, boxes = map(iter, _objects(entry.get("objects")))
    if not isinstance(turns, list):
        return turns
    return [_filled(turn, names, boxes) if isinstance(turn, dict) else turn for turn in turns]


def _objects(objects: object) -> tuple[list[Any], list[Any]]:
    """The names and the boxes; ms-swift 2 has a list of {"caption", "bbox"}, also as a text of JSON."""
    if isinstance(objects, str):
        with suppress(ValueError):
            objects = decode_json(objects)
    if isinstance(objects, dict):
        return as_list(objects.get("ref")), as_list(objects.get("bbox"))
    listed = [each for each in as_list(objects) if isinstance(each, dict)]
    return [each.get("caption") for each in listed], [each.get("bbox") for each in listed]


def _filled(turn: dict[str, Any], names: Iterator[Any], boxes: Iterator[Any]) -> dict[str, Any]:
    key = "content" if "content" in turn else "value"
    text = turn.get(key)
    if not isinstance(text, str):
        return turn
    for mark, values in ((NAME_MARK, names), (BOX_MARK, boxes)):
        while mark in text and (value := next(values, None)) is not None:
            text = text.replace(mark, str(value), 1)
    return {**turn, key: text}
