"""The registry of sources: a new source is one entry here, with its folder and what is asked about its images."""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Task = Literal["captioning", "vqa"]


@dataclass(frozen=True)
class Source:
    """One source of images and records; `task` is None where each record tells its own."""

    name: str
    folder: str
    task: Task | None
    default: bool
    title: str


SOURCES: Mapping[str, Source] = {
    source.name: source
    for source in (
        Source("NWPU", "NWPU/NWPU_images", "captioning", True, "NWPU-Captions on NWPU-RESISC45"),
        Source("RSICD", "RSICD/images", "captioning", True, "RSICD"),
        Source("LR", "LR/Train", "vqa", True, "RSVQA, low resolution"),
        Source("DOTA", "DOTA/images", "vqa", True, "RSIVQA on DOTA"),
        Source("UCM", "UCM/images", None, False, "UCM-Captions and RSIVQA on UC Merced land use"),
        Source("UAV", "UAV/Train", "captioning", False, "Captions of drone images"),
    )
}
DEFAULT_SOURCES = tuple(source.name for source in SOURCES.values() if source.default)

CAPTION_PROMPT = re.compile(
    r"what (does|do) (this|the) (image|picture|photo|scene)s? (represent|show|depict)"
    r"|what is (the topic of|shown in|depicted in)"
    r"|(please )?(describe|caption|provide|give|write|generate)\b",
)


def image_key(image: str) -> str:
    """The image that a path means: the same file written in two ways has one key."""
    return posixpath.normpath(image.replace("\\", "/"))


def source_of(image_path: str) -> str:
    """The source of an image: the first folder of its path."""
    return image_key(image_path).split("/", 1)[0]


def task_of(record: Mapping[str, Any]) -> Task:
    """Whether a record holds captions or questions.

    The source says so; where it holds both, or is not known, the first human turn does.
    """
    source = SOURCES.get(source_of(record.get("image") or ""))
    if source and source.task:
        return source.task
    prompt = next((turn["value"] for turn in record["conversations"] if turn["from"] == "human"), "")
    text = prompt.replace("<image>", "").strip().lower()
    return "captioning" if CAPTION_PROMPT.match(text) else "vqa"
