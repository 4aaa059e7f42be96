"""What each import format yields: an example per question, caption or conversation, before its image path is known."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tasks.question_types import FIELD as QUESTION_TYPE
from tasks.question_types import type_named
from tasks.record_reader import NO_IMAGE, SEVERAL_IMAGES, Turn

Lost = Counter[str]
Entry = Mapping[str, Any]

CAPTION_PROMPT = "Describe the image."

NOT_AN_OBJECT = "entry is not an object"
NO_QUESTION = "question without words"
NO_ANSWER = "question without an answer"
NOT_TEXT = "answer or question is neither text nor a number"
NO_CAPTION = "caption without words"
UNKNOWN_SPLIT = "name of a split other than train, val and test"

# the image's number, by which results of models in COCO's layout name it
IMAGE_ID = "image_id"
SPLITS = {
    **dict.fromkeys(("train", "training", "restval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
}


class Example(NamedTuple):
    """A record to be written.

    `images` are names that the image may have, the most likely one first; `fields` are further fields of the record.
    """

    id: str | int | None
    images: tuple[str, ...]
    turns: list[Turn]
    fields: Mapping[str, Any]


def as_text(value: object) -> str | None:
    """A text as it is, a number as its digits, None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(int(value)) if value == int(value) else str(value)


def as_id(value: object) -> str | int | None:
    """An id as records have it, or None; tables of numbers write 1.0 for 1."""
    # nearly all ids are, and there may be millions
    if type(value) is int:
        return value
    if isinstance(value, float) and value == int(value):
        return int(value)
    return value if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


def as_image(value: object, lost: Lost) -> str | None:
    """The name of an entry's one image; None, and the reason counted, where it has none or several."""
    names = [name for each in (value if isinstance(value, list) else [value]) if (name := as_text(each))]
    if len(names) == 1:
        return names[0]
    lost[SEVERAL_IMAGES if names else NO_IMAGE] += 1
    return None


def as_list(value: object) -> list[Any]:
    """A list as it is, an empty one for anything else."""
    return value if isinstance(value, list) else []


def question_turns(question: str, answer: str, question_type: str | None = None) -> list[Turn]:
    """A question and its answer as turns; `question_type` becomes a field of the question, by our name for it."""
    asked: dict[str, str] = {"from": "human", "value": question}
    if question_type:
        asked[QUESTION_TYPE] = type_named(question_type)
    return [asked, {"from": "gpt", "value": answer}]  # type: ignore[list-item]


def caption_example(name: object, images: tuple[str, ...], caption: str, fields: Entry) -> Example:
    """An example that asks for one caption of an image."""
    return Example(as_id(name), images, question_turns(CAPTION_PROMPT, caption), {**fields, "task": "captioning"})


def split_field(name: object, lost: Lost) -> dict[str, str]:
    """The field `split` of a record from the name that another tool gave it; empty where there is none."""
    if not isinstance(name, str) or not name.strip():
        return {}
    split = SPLITS.get(name.strip().lower())
    if split is None:
        lost[UNKNOWN_SPLIT] += 1
        return {}
    return {"split": split}


def split_of_file(path: Path) -> dict[str, str]:
    """The field `split` from a file name, such as LR_split_train_questions.json; empty unless it names exactly one."""
    words = re.findall(r"[a-z]+", path.stem.lower())
    found = {SPLITS[word] for word in words if word in SPLITS}
    return {"split": found.pop()} if len(found) == 1 else {}
