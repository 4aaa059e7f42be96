"""Metrics of answers to questions: exact match after normalisation, lenient match, bins and absolute errors."""

from collections.abc import Iterable
from dataclasses import dataclass

from tasks.evaluation.metrics.answer_bins import SQUARE_METRES, bin_of_answer
from tasks.evaluation.metrics.answer_matching import normalise_answer, number_of, same_answer
from tasks.evaluation.metrics.lenient_matching import lenient_match
from tasks.evaluation.pairing import AskedTurn, PairedRecord
from tasks.prompt_text import without_placeholder
from tasks.sources import type_of_question

COUNT, AREA, PRESENCE, RURAL_URBAN = "count", "area", "presence", "rural_urban"


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """One question with the reference answer and the model's, both normalised, and both as they were given.

    `probability` is that of the model's answer; None if it is not known.
    """

    record: int
    turn: int
    image: str
    question: str
    type: str
    reference: str
    answer: str
    reference_text: str
    answer_text: str
    probability: float | None = None

    @property
    def right(self) -> bool:
        return same_answer(self.answer, self.reference)


def plain_question(text: str) -> str:
    """A prompt without the image placeholder, normalised, so that equal questions are equal texts."""
    return normalise_answer(without_placeholder(text))


def answered_questions(records: Iterable[PairedRecord]) -> list[AnsweredQuestion]:
    """All questions with a reference answer, sorted by image; their type is stated or follows from their words."""
    questions = [
        AnsweredQuestion(
            record.index,
            turn.number,
            record.image,
            plain_question(turn.question),
            turn.type or type_of_question(record.source, turn.question, turn.reference),
            normalise_answer(turn.reference),
            normalise_answer(turn.answer or ""),
            turn.reference,
            turn.answer or "",
            turn.probability,
        )
        for record in records
        for turn in record.asked_for("vqa")
        if not lacks_reference(turn)
    ]
    return sorted(questions, key=lambda asked: (asked.image, asked.record, asked.turn))


def lacks_reference(turn: AskedTurn) -> bool:
    """Whether the reference answer to a question has no word, so that no answer could match it."""
    return not normalise_answer(turn.reference)


def accuracy(asked: AnsweredQuestion) -> float:
    """1 for an answer that matches the true one, else 0."""
    return float(asked.right)


def same_bin(asked: AnsweredQuestion) -> bool:
    """Whether a count or area is in the bin of the reference; whether it is right, if the reference is neither.

    Bins may be in words: "between 11 and 100". The bins are those of RSVQA (Lobry et al. 2020).
    """
    reference = bin_of_answer(asked.reference_text)
    return asked.right if reference is None else bin_of_answer(asked.answer_text) == reference


def is_area(asked: AnsweredQuestion) -> bool:
    """Whether the reference answer is an area in square metres, or a bin of areas."""
    reference = bin_of_answer(asked.reference_text)
    return reference is not None and reference[0] == SQUARE_METRES


def accuracy_binned(asked: AnsweredQuestion) -> float:
    """1 for an answer in the bin of the true one or, where that has no bin, for one that matches it, else 0."""
    return float(same_bin(asked))


def accuracy_lenient(asked: AnsweredQuestion) -> float:
    """1 for an answer that means the true one, whatever its form, else 0."""
    return float(lenient_match(asked.answer_text, asked.reference_text))


def absolute_error(asked: AnsweredQuestion) -> float | None:
    """How far a count is off; None if the answer or the reference answer is not a number."""
    answer, reference = number_of(asked.answer), number_of(asked.reference)
    return None if answer is None or reference is None else abs(answer - reference)
