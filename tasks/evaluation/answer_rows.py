"""per_answer.jsonl: one flat row an answer, so that it loads into a table in one line."""

from collections.abc import Iterable, Sequence
from typing import Any

from tasks.evaluation.answer_forms import no_answer
from tasks.evaluation.captions import CAPTION_METRICS, SPICE, CaptionScores
from tasks.evaluation.pairing import PairedRecord
from tasks.evaluation.vqa import AnsweredQuestion, absolute_error

CAPTION = "caption"
Row = dict[str, Any]


def answer_rows(
    records: Sequence[PairedRecord],
    captions: Iterable[tuple[Sequence[str], CaptionScores]],
    questions: Iterable[AnsweredQuestion],
) -> list[Row]:
    """A row for each answer, in the test set's order; `captions` are the images of each source and their scores.

    Scores of a caption stand in the row of the answer that was scored, the image's first; other caption turns
    and all VQA answers have None there, and captions have None for `right`. `no_answer` says why an answer is none.
    """
    rows = {
        (record.index, place): _plain_row(record, place)
        for record in records
        for place, turn in enumerate(record.turns)
        if turn.answer is not None
    }
    _fill_captions(rows, [record for record in records if record.task == "captioning"], captions)
    for asked in questions:
        rows[asked.record, asked.turn].update(
            type=asked.type,
            right=asked.right,
            absolute_error=absolute_error(asked),
            no_answer=no_answer(asked.answer, asked.reference),
        )
    return list(rows.values())


def _plain_row(record: PairedRecord, place: int) -> Row:
    turn = record.turns[place]
    return {
        "id": record.id,
        "record": record.index,
        "image": record.image,
        "source": record.source,
        "task": record.task,
        "turn": turn.number,
        "question": turn.question.replace("<image>", "").strip(),
        "answer": turn.answer,
        "references": [turn.reference],
        "type": CAPTION,
        "right": None,
        "absolute_error": None,
        "no_answer": None,
        **dict.fromkeys((*CAPTION_METRICS, SPICE)),
    }


def _fill_captions(
    rows: dict[tuple[int, int], Row],
    records: Sequence[PairedRecord],
    captions: Iterable[tuple[Sequence[str], CaptionScores]],
) -> None:
    references: dict[str, list[str]] = {}
    for record in records:
        references.setdefault(record.image, []).extend(turn.reference for turn in record.turns)
    scores = {
        image: {metric: float(values[place]) for metric, values in scored.each.items()}
        for images, scored in captions
        for place, image in enumerate(images)
    }
    for record in records:
        for turn in record.turns:
            if turn.answer is not None:
                rows[record.index, turn.number]["references"] = references[record.image]
        # the first record of an image takes its scores
        rows[record.index, 0].update(scores.pop(record.image, {}))
