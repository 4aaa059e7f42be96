"""Scores of answers to questions: exact match after normalisation, by question type, counts in three ways."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.evaluation.metrics.answer_matching import bin_of, normalise_answer, number_of, same_answer
from tasks.evaluation.metrics.answer_types import confusion_of, count_no_answers
from tasks.evaluation.metrics.bootstrap import ratio_interval
from tasks.evaluation.pairing import AskedTurn, PairedRecord
from tasks.prompt_text import without_placeholder
from tasks.sources import type_of_question

COUNT = "count"


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """One question with the true answer and the model's, both normalised."""

    record: int
    turn: int
    image: str
    question: str
    type: str
    reference: str
    answer: str

    @property
    def right(self) -> bool:
        return same_answer(self.answer, self.reference)


def plain_question(text: str) -> str:
    """A prompt without the image's placeholder, normalised, so that the same question is found again."""
    return normalise_answer(without_placeholder(text))


def answered_questions(records: Iterable[PairedRecord]) -> list[AnsweredQuestion]:
    """All questions that have a true answer, sorted by image; the type is that of the question and its true answer."""
    questions = [
        AnsweredQuestion(
            record.index,
            turn.number,
            record.image,
            plain_question(turn.question),
            type_of_question(record.source, turn.question, turn.reference),
            normalise_answer(turn.reference),
            normalise_answer(turn.answer or ""),
        )
        for record in records
        for turn in record.asked_for("vqa")
        if not lacks_reference(turn)
    ]
    return sorted(questions, key=lambda asked: (asked.image, asked.record, asked.turn))


def lacks_reference(turn: AskedTurn) -> bool:
    """Whether a question has a true answer without a word: nothing could be right."""
    return not normalise_answer(turn.reference)


def accuracy_of(questions: Sequence[AnsweredQuestion]) -> float:
    """Share of right answers."""
    return sum(asked.right for asked in questions) / len(questions)


def score_questions(questions: Sequence[AnsweredQuestion], draws: int, seed: int) -> dict[str, Any]:
    """Accuracy with its interval over images, the mean of the types' accuracies, and each type's scores.

    `no_answer` counts the answers that are none; they are wrong, and in the accuracy.
    """
    by_type = defaultdict(list)
    for asked in questions:
        by_type[asked.type].append(asked)
    types = {name: _score_type(name, by_type[name], draws, seed) for name in sorted(by_type)}
    statistics = right_by_image(questions)
    return {
        "images": len(statistics),
        "questions": len(questions),
        "accuracy": accuracy_of(questions),
        "average_accuracy": sum(scores["accuracy"] for scores in types.values()) / len(types),
        "ci95": {"accuracy": ratio_interval(statistics, draws, seed)},
        "no_answer": count_no_answers((asked.answer, asked.reference) for asked in questions),
        "by_type": types,
    }


def right_by_image(questions: Sequence[AnsweredQuestion]) -> "np.ndarray":
    """Right answers and questions of each image, sorted by image: array (images, 2)."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for asked in questions:
        sums[asked.image][0] += asked.right
        sums[asked.image][1] += 1
    return np.array([sums[image] for image in sorted(sums)], dtype=float)


def _score_type(name: str, questions: Sequence[AnsweredQuestion], draws: int, seed: int) -> dict[str, Any]:
    pairs = [(asked.answer, asked.reference) for asked in questions]
    scores = {
        "questions": len(questions),
        "accuracy": accuracy_of(questions),
        "ci95": {"accuracy": ratio_interval(right_by_image(questions), draws, seed)},
        "no_answer": count_no_answers(pairs),
    }
    if name == COUNT:
        scores |= _score_counts(questions)
    return scores | {"confusion": confusion_of(pairs, counts=name == COUNT)}


def _score_counts(questions: Sequence[AnsweredQuestion]) -> dict[str, Any]:
    """Counts right by bin, and the mean absolute error.

    An answer that is no number is wrong, exactly and by bin. It has no error in objects, so the mean absolute
    error is over the numbers alone, and `no_number` says how many answers it leaves out.
    """
    binned = sum(_same_bin(asked) for asked in questions)
    errors = [error for asked in questions if (error := absolute_error(asked)) is not None]
    return {
        "accuracy_binned": binned / len(questions),
        "mean_absolute_error": sum(errors) / len(errors) if errors else None,
        "no_number": sum(number_of(asked.answer) is None for asked in questions),
    }


def _same_bin(asked: AnsweredQuestion) -> bool:
    answer, reference = number_of(asked.answer), number_of(asked.reference)
    if reference is None:
        return asked.right
    return answer is not None and bin_of(answer) is not None and bin_of(answer) == bin_of(reference)


def absolute_error(asked: AnsweredQuestion) -> float | None:
    """How far a count is off, or None where the answer or the truth is no number."""
    answer, reference = number_of(asked.answer), number_of(asked.reference)
    return None if answer is None or reference is None else abs(answer - reference)
