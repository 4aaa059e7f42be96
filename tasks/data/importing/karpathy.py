"""Captions in Karpathy's layout (dataset_rsicd.json, UCM, Sydney), and in that of NWPU-Captions.

Karpathy: {"images": [{"filename", "split", "sentences": [{"raw", "sentid"}]}], "dataset"}. NWPU-Captions:
{class: [{"filename", "split", "sentids", "raw", "raw_1", ..., "raw_4"}]}, with images in a folder per class.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tasks.data.importing.examples import (
    IMAGE_ID,
    NO_CAPTION,
    Entry,
    Example,
    Lost,
    as_list,
    caption_example,
    split_field,
)
from tasks.data.importing.head import Head, read_head
from tasks.errors import DataError
from tasks.json_stream import iterate_members
from tasks.sources import SOURCE_NAME, SOURCES

NO_NAME = "image without a file name"


def recognises(head: Head) -> bool:
    """Whether a file has images with their sentences."""
    return bool(head.member) and "filename" in head.entry and ("sentences" in head.entry or "raw" in head.entry)


def default_source(files: Sequence[Path]) -> str:
    """The data set that a file names in `dataset`, or NWPU for the layout of NWPU-Captions."""
    names = {_dataset(path) for path in files}
    name = names.pop() if len(names) == 1 else ""
    # UCM_captions is UCM; HRRSD is not HR, whose records are questions
    known = (each for each in SOURCES if SOURCES[each].task != "vqa" and name.lower().startswith(each.lower()))
    name = next(known, name)
    if not re.match(SOURCE_NAME, name):
        raise DataError("The files do not name one data set: give --source NAME.")
    return name


def _dataset(path: Path) -> str:
    if "raw" in read_head(path).entry:
        return "NWPU"
    found = next((each.value for each in iterate_members(path) if each.name == "dataset"), "")
    return found if isinstance(found, str) else ""


def read(files: Sequence[Path], lost: Lost) -> Iterator[Example]:
    """Yield an example per caption; its id is the sentence's where there is one."""
    for path in files:
        for member in iterate_members(path):
            if member.in_list and isinstance(member.value, dict):
                yield from _captions(member.name, member.value, lost)


def _captions(member: str, image: dict[str, Any], lost: Lost) -> Iterator[Example]:
    name = image.get("filename")
    if not isinstance(name, str) or not name:
        lost[NO_NAME] += 1
        return
    # Karpathy's COCO has the folder apart; in NWPU-Captions the class is the folder
    folder = image.get("filepath") if "sentences" in image else member
    path = f"{folder}/{name}" if isinstance(folder, str) and folder else name
    fields: dict[str, object] = {**split_field(image.get("split"), lost)}
    if "imgid" in image:
        fields[IMAGE_ID] = image["imgid"]
    for number, sentence in _sentences(image):
        if isinstance(sentence, str) and sentence.strip():
            yield caption_example(number, (path,), sentence.strip(), fields)
        else:
            lost[NO_CAPTION] += 1


def _sentences(image: Entry) -> Iterator[tuple[object, object]]:
    """The id and the words of each sentence."""
    if "sentences" not in image:
        numbers = image.get("sentids")
        raw = [image[key] for key in image if key.startswith("raw")]
        known = as_list(numbers) if len(as_list(numbers)) == len(raw) else [None] * len(raw)
        yield from zip(known, raw, strict=True)
        return
    for sentence in as_list(image["sentences"]):
        if isinstance(sentence, dict):
            tokens = sentence.get("tokens")
            joined = " ".join(map(str, tokens)) if isinstance(tokens, list) else None
            yield sentence.get("sentid"), sentence.get("raw") or joined
        else:
            yield None, sentence
