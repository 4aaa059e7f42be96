"""Metrics of answers to questions: exact match after normalisation, and counts by bin and by absolute error."""

from collections.abc import Iterable
from dataclasses import dataclass

from tasks.evaluation.metrics.answer_matching import bin_of, normalise_answer, number_of, same_answer
from tasks.evaluation.pairing import AskedTurn, PairedRecord
from tasks.prompt_text import without_placeholder
from tasks.sources import type_of_question

COUNT = "count"


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """One question with the reference answer and the model's, both normalised.

    `probability` is that of the model's answer; None where it is not known.
    """

    record: int
    turn: int
    image: str
    question: str
    type: str
    reference: str
    answer: str
    probability: float | None = None

    @property
    def right(self) -> bool:
        return same_answer(self.answer, self.reference)


def plain_question(text: str) -> str:
    """A prompt without the image placeholder, normalised, so that equal questions are equal texts."""
    return normalise_answer(without_placeholder(text))


def answered_questions(records: Iterable[PairedRecord]) -> list[AnsweredQuestion]:
    """All questions with a reference answer, sorted by image; their type follows from question and reference answer."""
    questions = [
        AnsweredQuestion(
            record.index,
            turn.number,
            record.image,
            plain_question(turn.question),
            type_of_question(record.source, turn.question, turn.reference),
            normalise_answer(turn.reference),
            normalise_answer(turn.answer or ""),
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
    """Whether a count is in the bin of the reference; if the reference is not a number, whether it is right."""
    answer, reference = number_of(asked.answer), number_of(asked.reference)
    if reference is None:
        return asked.right
    return answer is not None and bin_of(answer) is not None and bin_of(answer) == bin_of(reference)


def absolute_error(asked: AnsweredQuestion) -> float | None:
    """How far a count is off; None where the answer or the reference answer is not a number."""
    answer, reference = number_of(asked.answer), number_of(asked.reference)
    return None if answer is None or reference is None else abs(answer - reference)
