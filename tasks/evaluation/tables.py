"""per_answer.jsonl: one flat row an answer, so that it loads into a table in one line."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from tasks.evaluation.caption_metrics import CAPTION_METRICS, SPICE, CaptionScores
from tasks.evaluation.metrics.answer_types import no_answer
from tasks.evaluation.pairing import AskedTurn, PairedRecord
from tasks.evaluation.vqa_metrics import AnsweredQuestion, absolute_error
from tasks.prompt_text import without_placeholder

CAPTION = "caption"
# of a question without a true answer
UNSCORED_TYPE = "without reference"
Row = dict[str, Any]
UNSCORED = dict.fromkeys((*CAPTION_METRICS, SPICE))


def is_scored(row: Row) -> bool:
    """Whether a row's answer was scored: of captions the first of an image was, of questions each."""
    return row["right"] is not None or any(row.get(metric) is not None for metric in CAPTION_METRICS)


class AnswerRows:
    """A row for each answer, in the test set's order; `captions` are the images of each source and their scores.

    Scores of a caption stand in the row of the answer that was scored, the image's first; other caption turns
    and all VQA answers have None there, and captions have None for `right`. `no_answer` says why an answer is none.
    Rows are made each time they are walked through: those of a whole test set would fill the memory.
    """

    def __init__(
        self,
        records: Sequence[PairedRecord],
        captions: Sequence[tuple[Sequence[str], CaptionScores]],
        questions: Sequence[AnsweredQuestion],
    ):
        self._records = records
        self._references: dict[str, list[str]] = defaultdict(list)
        self._scored: dict[str, tuple[int, int]] = {}
        for record in records:
            for turn in record.asked_for("captioning"):
                self._references[record.image].append(turn.reference)
                # the first prompt of an image takes its scores
                self._scored.setdefault(record.image, (record.index, turn.number))
        self._scores = {image: (scored, place) for images, scored in captions for place, image in enumerate(images)}
        self._questions = {(asked.record, asked.turn): asked for asked in questions}

    def __iter__(self) -> Iterator[Row]:
        for record in self._records:
            for turn in record.turns:
                if turn.answer is not None:
                    found = self._of_caption if turn.task == "captioning" else self._of_question
                    yield _plain_row(record, turn) | found(record, turn)

    def _of_caption(self, record: PairedRecord, turn: AskedTurn) -> Row:
        row = {"references": self._references[record.image]}
        if self._scored[record.image] != (record.index, turn.number) or record.image not in self._scores:
            return row
        scored, place = self._scores[record.image]
        return row | {metric: float(values[place]) for metric, values in scored.each.items()}

    def _of_question(self, record: PairedRecord, turn: AskedTurn) -> Row:
        asked = self._questions.get((record.index, turn.number))
        if asked is None:
            return {"type": UNSCORED_TYPE}
        return {
            "type": asked.type,
            "right": asked.right,
            "absolute_error": absolute_error(asked),
            "no_answer": no_answer(asked.answer, asked.reference),
        }


def _plain_row(record: PairedRecord, turn: AskedTurn) -> Row:
    return {
        "id": record.id,
        "record": record.index,
        "image": record.image,
        "source": record.source,
        "task": turn.task,
        "turn": turn.number,
        "question": without_placeholder(turn.question),
        "answer": turn.answer,
        "references": [turn.reference],
        "type": CAPTION,
        "right": None,
        "absolute_error": None,
        "no_answer": None,
        **UNSCORED,
    }
