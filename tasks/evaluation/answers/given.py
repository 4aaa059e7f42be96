"""One answer of another program's file: its fields by the names that LLaVA, GeoChat, EarthDial, InternVL, COCO,
LLaMA-Factory, ms-swift and VLMEvalKit have for them.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tasks.errors import shortened
from tasks.evaluation.answers.question_text import shown

Row = Mapping[str, object]

# keys that hold nothing but a model's answer; next to one of them `answer` is the reference
PREDICTION = (
    *("prediction", "pred", "predict", "predicted_answer", "pred_answer", "model_answer", "model_output"),
    *("response", "generated_text", "generated_caption", "output", "hypothesis"),
)
REFERENCE = (
    *("ground_truth", "groundtruth", "gt", "gt_answer", "annotation", "label", "labels", "target", "reference"),
    *("references", "gt_bbox", *(f"caption{number}" for number in range(5))),
)
# as a number, the number of a class, or whether an answer is right
FLAGS = ("label", "labels")
QUESTION = ("question", "prompt", "query", "input", "instruction")
IDS = ("question_id", "questionId", "qid", "id", "uid", "sample_id", "record_id", "index", "idx")
IMAGE = (
    *("image", "image_path", "image_name", "image_file", "filename", "file_name", "image_id", "imageId", "img"),
    *("img_id", "images"),
)
# beside `text` these say that it is an answer; without them, `image` says that it is a question
ANSWERED = ("prompt", "answer_id", "model_id")
# a longer text is the image itself, in base64
MOST_PATH_CHARACTERS = 400


class GivenAnswer(NamedTuple):
    """One answer; what the file does not say is empty or None.

    `position` is that of its question in the test set. `answer` is None if the file has none.
    """

    location: str
    ids: tuple[str, ...]
    image: str | None
    question: str | None
    answer: str | None
    references: tuple[str, ...] = ()
    position: int | None = None

    @property
    def name(self) -> str:
        """The answer for messages."""
        parts = [f"id {shortened(self.ids[0])}"] if self.ids else []
        parts += [f"image {shortened(self.image)}"] if self.image else []
        parts += [shown(self.question)] if self.question else []
        return f"{self.location} ({', '.join(parts)})" if parts else self.location


def given_answer(row: Row, location: str) -> GivenAnswer:
    """The answer in one row of a table or one object of JSON."""
    key = answer_key(row)
    others = {name: value for name, value in row.items() if name != key}
    question = first_text(others, QUESTION)
    if question is None and key == "answer":
        question = text_of(others.get("text"))
    if question is None:
        question = _last_user_text(others.get("messages"))
    return GivenAnswer(
        location,
        ids_in(row, IDS),
        first_text({name: path_in(value) for name, value in others.items() if name in IMAGE}, IMAGE),
        question,
        text_of(row[key]) if key else None,
        references_in(others, (*REFERENCE, "answer") if key in PREDICTION else REFERENCE),
    )


def _last_user_text(messages: object) -> str | None:
    """What the user says last in a dialogue of ms-swift or OpenAI."""
    turns = messages if isinstance(messages, list) else []
    said = [turn.get("content") for turn in turns if isinstance(turn, Mapping) and turn.get("role") == "user"]
    return text_of(said[-1]) if said else None


def answer_key(row: Row) -> str | None:
    """The key of a row under which the model's answer is; None if it has none."""
    for key in PREDICTION:
        if key in row:
            return key
    if "text" in row and ("answer" not in row or "prompt" in row) and _text_is_answer(row):
        return "text"
    return next((key for key in ("answer", "caption") if key in row), None)


def _text_is_answer(row: Row) -> bool:
    return any(key in row for key in ANSWERED) or not any(key in row for key in ("image", "question"))


def ids_in(row: Row, keys: Iterable[str]) -> tuple[str, ...]:
    """The ids of a row, the most specific first."""
    found = (id_text(row.get(key)) for key in keys)
    return tuple(dict.fromkeys(name for name in found if name))


def id_text(value: object) -> str | None:
    """An id as text: a table may hold 7 as 7.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() if isinstance(value, str | int) else None


def text_of(value: object) -> str | None:
    """A text, a number, or the only one in a list, as text; None for anything else."""
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return None if math.isnan(value) else f"{value:.15g}"
    return str(value) if isinstance(value, str | int) else None


def first_text(row: Row, keys: Iterable[str]) -> str | None:
    """The first of these keys that holds a text or a number."""
    return next((text for key in keys if (text := text_of(row.get(key))) is not None and text.strip()), None)


def path_in(value: object) -> object:
    """The path of an image that is given as a path, as an object with one, or as a list of one of them."""
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, Mapping):
        value = next((value[key] for key in ("path", "file_name", "image") if value.get(key)), None)
    return id_text(value) if isinstance(value, int | float) or len(str(value)) <= MOST_PATH_CHARACTERS else None


def references_in(row: Row, keys: Iterable[str]) -> tuple[str, ...]:
    """All reference answers that a row states."""
    found: list[object] = []
    for key in keys:
        value = row.get(key)
        if key in FLAGS and not isinstance(value, str):
            continue
        found += value if isinstance(value, list) else [value]
    return tuple(text for value in found if (text := text_of(value)))
