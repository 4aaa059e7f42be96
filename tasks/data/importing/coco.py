"""Captions in COCO's layout: {"images": [{"id", "file_name"}], "annotations": [{"id", "image_id", "caption"}]}."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.data.importing.examples import (
    IMAGE_ID,
    NO_CAPTION,
    Entry,
    Example,
    Lost,
    as_id,
    caption_example,
    split_field,
    split_of_file,
)
from tasks.data.importing.head import Head
from tasks.json_stream import iterate_members
from tasks.record_reader import ORIGINAL_ID

# images whose ids are those of `rsvlm data convert`; an id of their own is in IMAGE_ID
NUMBERED = "numbered"
NO_IMAGE = "annotation of an image that the file does not list"


class _Image(NamedTuple):
    name: str
    fields: dict[str, object]


def recognises(head: Head) -> bool:
    """Whether a file has images with file names, or annotations with captions."""
    keys = head.entry.keys()
    return ("file_name" in keys and head.member == "images") or (
        {"caption", "image_id"} <= keys and head.member == "annotations"
    )


def read(files: Sequence[Path], lost: Lost) -> Iterator[Example]:
    """Yield an example per caption; its id is the annotation's."""
    for path in files:
        images = _images(path, lost)
        for annotation in _rows(path, "annotations"):
            image, caption = images.get(as_id(annotation.get("image_id"))), annotation.get("caption")
            if image is None:
                lost[NO_IMAGE] += 1
            elif not isinstance(caption, str) or not caption.strip():
                lost[NO_CAPTION] += 1
            else:
                name = annotation.get("record_id", annotation.get("id"))
                original = {ORIGINAL_ID: annotation[ORIGINAL_ID]} if ORIGINAL_ID in annotation else {}
                yield caption_example(name, (image.name,), caption.strip(), {**image.fields, **original})


def _images(path: Path, lost: Lost) -> dict[object, _Image]:
    of_file = split_of_file(path)
    images: dict[object, _Image] = {}
    for row in _rows(path, "images"):
        if isinstance(row.get("file_name"), str):
            fields: dict[str, object] = {**(split_field(row.get("split"), lost) or of_file)}
            # results of models name the image, not the annotation
            if IMAGE_ID in row or not row.get(NUMBERED):
                fields[IMAGE_ID] = row.get(IMAGE_ID, row.get("id"))
            images[as_id(row.get("id"))] = _Image(row["file_name"], fields)
    return images


def _rows(path: Path, name: str) -> Iterator[Entry]:
    for member in iterate_members(path):
        if member.name == name and member.in_list and isinstance(member.value, dict):
            yield member.value
