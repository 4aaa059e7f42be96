"""The tables of a report: per_answer.jsonl, one flat row per answer, and scores.jsonl, one flat row per score."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NotRequired, TypedDict, cast

from tasks.evaluation.grounding_metrics import AnsweredBoxes
from tasks.evaluation.metrics.answer_types import invalid_reason
from tasks.evaluation.metrics.registry import (
    CAPTION_METRICS,
    GROUNDING_METRICS,
    METRICS_BY_TASK,
    QUESTION_METRICS,
    RIGHT,
    metrics_of,
)
from tasks.evaluation.pairing import AskedTurn, PairedRecord
from tasks.evaluation.scores import ClassScores, Metrics, Scores, SourceScores, TypeScores, of_task
from tasks.evaluation.uncertainty.moments import Floats
from tasks.evaluation.vqa_metrics import AnsweredQuestion, absolute_error
from tasks.prompt_text import Task, without_placeholder

CAPTION, BOXES = "caption", "boxes"
# type of a question without a reference answer
UNSCORED_TYPE = "without reference"
ALL, CLEAN, EVERY_TYPE = "all", "clean", "all"
# keys of metrics.json whose values are not scores themselves
NESTED = (
    *("ci95", "controls", "gain", "by_type", "by_class", "confusion", "no_answer", "prompt_sensitivity", "diversity"),
    *("published_as", "calibration", "unreadable", "conventions"),
)
# prefixes of the metric names of nested scores, by key
PREFIXES = {
    "controls": "control",
    "no_answer": "no_answer",
    "prompt_sensitivity": "prompts",
    "diversity": "diversity",
    "yes_bias": "yes_bias",
    "yes_bias_all": "yes_bias_all",
    "calibration": "calibration",
    "unreadable": "unreadable",
}
# prefixes of the types of rows, by key of the scores of parts of a source
PARTS = {"by_type": "", "by_class": "class."}


class AnswerRow(TypedDict):
    """A row of per_answer.jsonl; the score by a metric of captions is a further key: read it with `row_score`."""

    id: str | int
    record: int
    image: str
    source: str
    task: Task
    turn: int
    question: str
    answer: str
    references: list[str]
    type: str
    right: bool | None
    absolute_error: float | None
    no_answer: str | None
    # reports of earlier versions do not have it
    probability: NotRequired[float | None]


# columns of an AnswerRow that is being built
Values = dict[str, object]
ScoreRow = dict[str, str | int | float | None]


def row_score(row: AnswerRow, column: str) -> float | None:
    """The value in a metric's column; None if the answer was not scored by it."""
    return cast(Mapping[str, float | None], row).get(column)


def is_scored(row: AnswerRow) -> bool:
    """Whether a row's answer was scored: of an image's captions only the first is, of questions each."""
    scored = (*CAPTION_METRICS, *(metric.column for metric in GROUNDING_METRICS.values()))
    return row["right"] is not None or any(row_score(row, metric) is not None for metric in scored)


class AnswerRows:
    """A row for each answer, in the test set's order; `captions` are the images of each source and their scores.

    The scores of a caption are in the row of the answer that was scored, the image's first; they are None in the rows
    of other caption turns and of VQA answers. `right` is None for captions. `no_answer` is the reason why an answer is
    invalid. Rows are built in each iteration: those of a whole test set would fill the memory.
    """

    def __init__(
        self,
        records: Sequence[PairedRecord],
        captions: Sequence[tuple[Sequence[str], Mapping[str, Floats]]],
        questions: Sequence[AnsweredQuestion],
        boxes: Sequence[AnsweredBoxes] = (),
    ):
        self._records = records
        self._references: dict[str, list[str]] = defaultdict(list)
        self._scored: dict[str, tuple[int, int]] = {}
        for record in records:
            for turn in record.asked_for("captioning"):
                self._references[record.image].append(turn.reference)
                # the first prompt of an image has its scores
                self._scored.setdefault(record.image, (record.index, turn.number))
        self._scores = {image: (scores, index) for images, scores in captions for index, image in enumerate(images)}
        self._questions = {(asked.record, asked.turn): asked for asked in questions}
        self._boxes = {(asked.record, asked.turn): asked for asked in boxes}

    def __iter__(self) -> Iterator[AnswerRow]:
        for record in self._records:
            for turn in record.turns:
                if turn.answer is not None:
                    yield cast(AnswerRow, _plain_row(record, turn) | self._of_task(record, turn))

    def _of_task(self, record: PairedRecord, turn: AskedTurn) -> Values:
        if turn.task == "captioning":
            return self._of_caption(record, turn)
        return self._of_question(record, turn) if turn.task == "vqa" else self._of_boxes(record, turn)

    def _of_caption(self, record: PairedRecord, turn: AskedTurn) -> Values:
        row: Values = {"references": self._references[record.image]}
        if self._scored[record.image] != (record.index, turn.number) or record.image not in self._scores:
            return row
        scores, index = self._scores[record.image]
        return row | {metric: float(values[index]) for metric, values in scores.items()}

    def _of_question(self, record: PairedRecord, turn: AskedTurn) -> Values:
        asked = self._questions.get((record.index, turn.number))
        if asked is None:
            return {"type": UNSCORED_TYPE}
        return {
            "type": asked.type,
            **{metric.column: metric.score(asked) for metric in QUESTION_METRICS.values()},
            RIGHT: asked.right,
            "absolute_error": absolute_error(asked),
            "no_answer": invalid_reason(asked.answer, asked.reference),
        }

    def _of_boxes(self, record: PairedRecord, turn: AskedTurn) -> Values:
        asked = self._boxes.get((record.index, turn.number))
        if asked is None:
            return {"type": UNSCORED_TYPE}
        scores = {metric.column: metric.score(asked) for metric in GROUNDING_METRICS.values()}
        return {"type": BOXES, **scores, "no_answer": asked.unreadable}


def _plain_row(record: PairedRecord, turn: AskedTurn) -> Values:
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
        RIGHT: None,
        "absolute_error": None,
        "no_answer": None,
        "probability": turn.probability,
        **dict.fromkeys(
            metric.column for task in METRICS_BY_TASK for metric in metrics_of(task) if metric.column != RIGHT
        ),
    }


def score_rows(model: str, metrics: Metrics) -> list[ScoreRow]:
    """All numbers of metrics.json: model, images (all or clean), task, source, type, metric, value, low, high,
    published_as.

    `low` and `high` are the 95 % interval, None if there is none; `published_as` names the papers that print such an
    accuracy. Controls are named control.NAME, counts of invalid answers no_answer.REASON, diversity and lengths
    diversity.NAME, calibration calibration.NAME; the type of a scene class is class.NAME. What is null in metrics.json
    has no row.
    """
    parts: dict[str, Scores] = {ALL: metrics, **({CLEAN: metrics["clean"]} if "clean" in metrics else {})}
    return [
        {"model": model, "images": images, "task": task, "source": source, **row}
        for images, part in parts.items()
        for task in METRICS_BY_TASK
        for source, scores in of_task(part, task).items()
        for row in _rows(scores, EVERY_TYPE)
    ]


def _rows(scores: SourceScores | TypeScores | ClassScores, kind: str) -> Iterator[ScoreRow]:
    intervals = scores.get("ci95", {})
    plain = {name: value for name, value in scores.items() if name not in NESTED}
    published = scores.get("published_as")
    rules = published if isinstance(published, Mapping) else {}
    for key, prefix in PREFIXES.items():
        if isinstance(values := scores.get(key), Mapping):
            plain |= {f"{prefix}.{name}": value for name, value in values.items()}
    for metric, value in plain.items():
        if isinstance(value, int | float):
            low, high = intervals.get(metric) or (None, None)
            row = {"type": kind, "metric": metric, "value": value, "low": low, "high": high}
            yield row | {"published_as": rules.get(metric)}
    for name, part in _parts(scores):
        yield from _rows(part, name)


def _parts(scores: SourceScores | TypeScores | ClassScores) -> Iterator[tuple[str, TypeScores | ClassScores]]:
    """The scores of each type of question and of each scene class, with the type of their rows."""
    for key, prefix in PARTS.items():
        if isinstance(parts := scores.get(key), Mapping):
            yield from ((f"{prefix}{name}", part) for name, part in parts.items())
