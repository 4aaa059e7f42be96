"""ShareGPT and LLaMA-Factory: `conversations` with from and value, or `messages` with role and content; also LLaVA."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.data.importing.conversations import read_conversation
from tasks.data.importing.examples import NOT_AN_OBJECT, Example, Lost
from tasks.data.importing.head import Head
from tasks.data.importing.ms_swift import fill_objects
from tasks.json_stream import iterate_values


def recognises(head: Head) -> bool:
    """Whether the entries of a list are conversations."""
    return not head.member and any(isinstance(head.entry.get(key), list) for key in ("conversations", "messages"))


def read(files: Sequence[Path], lost: Lost) -> Iterator[Example]:
    """Yield an example per conversation with one image; its id is `id`."""
    for listed in (listed for path in files for listed in iterate_values(path)):
        if not isinstance(listed.value, dict):
            lost[NOT_AN_OBJECT] += 1
            continue
        entry = listed.value
        turns = entry.get("conversations", entry.get("messages"))
        if example := read_conversation(entry, fill_objects(entry, turns), lost):
            yield example
