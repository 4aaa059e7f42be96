"""Question files of LLaVA and GeoChat: {"question_id", "image", "text", "category", "ground_truth"} per line.

Other tools write `question`, `answer` and `question_type` for `text`, `ground_truth` and `category`.
GeoChat publishes its RSVQA questions without answers: RSVQA's table of answers, given along, has them by question id.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.data.importing.examples import (
    NO_ANSWER,
    NO_QUESTION,
    NOT_AN_OBJECT,
    NOT_TEXT,
    Entry,
    Example,
    Lost,
    as_id,
    as_image,
    as_text,
    question_turns,
    split_field,
)
from tasks.data.importing.head import Head, read_head
from tasks.data.importing.rsvqa import holds_answers, read_answers
from tasks.json_stream import iterate_values

QUESTION, IMAGE = ("text", "question", "prompt"), ("image", "image_id")
ANSWER = ("ground_truth", "answer", "gt_answer", "gt", "label")
TYPE = ("category", "question_type", "type")
CAPTIONING = ("caption", "captioning")
# LLaVA's category of every question that has none
NO_CATEGORY = "default"


def recognises(head: Head) -> bool:
    """Whether the entries of a list are questions about images."""
    keys = head.entry.keys()
    if head.member or "conversations" in keys:
        return False
    known = "question_id" in keys or bool(keys & set(ANSWER))
    return known and "image" in keys and bool(keys & set(QUESTION))


def read(files: Sequence[Path], lost: Lost) -> Iterator[Example]:
    """Yield an example per question with an answer; its id is `question_id`."""
    answer_files = [path for path in files if holds_answers(read_head(path))]
    answers = read_answers(answer_files, lost)
    for path in (path for path in files if path not in answer_files):
        for listed in iterate_values(path):
            if not isinstance(listed.value, dict):
                lost[NOT_AN_OBJECT] += 1
            elif example := _example(listed.value, answers, lost):
                yield example


def _example(row: Entry, answers: dict[object, str], lost: Lost) -> Example | None:
    name = as_id(_first(row, ("question_id", "id")))
    question = as_text(_first(row, QUESTION))
    answer = _first(row, ANSWER)
    text = answers.get(name) if answer is None else as_text(answer)
    if not question or not question.strip():
        lost[NO_QUESTION] += 1
    elif not text or not text.strip():
        lost[NOT_TEXT if answer not in (None, "") and text is None else NO_ANSWER] += 1
    elif image := as_image(_first(row, IMAGE), lost):
        kind = as_text(_first(row, TYPE))
        kind = None if kind == NO_CATEGORY else kind
        turns = question_turns(question.strip(), text.strip(), None if kind in CAPTIONING else kind)
        fields = {**split_field(row.get("split"), lost), **_task(row, kind)}
        return Example(name, (image,), turns, fields)
    return None


def _task(row: Entry, kind: str | None) -> dict[str, str]:
    if isinstance(stated := row.get("task"), str):
        return {"task": stated}
    # without a category the words of the question decide, as in any record
    return {"task": "captioning" if kind in CAPTIONING else "vqa"} if kind else {}


def _first(row: Entry, names: Sequence[str]) -> object:
    return next((row[name] for name in names if row.get(name) is not None), None)
