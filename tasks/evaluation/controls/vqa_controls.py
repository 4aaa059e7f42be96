"""Image-blind baselines of questions: answers from the training set alone, or about another image."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from tasks.evaluation.controls.training_set import AnswerCounts
from tasks.evaluation.metrics.answer_matching import same_answer
from tasks.evaluation.scores import Controls
from tasks.evaluation.vqa_metrics import AnsweredQuestion


def vqa_controls(questions: Sequence[AnsweredQuestion], training: AnswerCounts | None, seed: int) -> Controls:
    """Controls of one source, as accuracies over its questions.

    `majority`: the most frequent training answer to questions of the same type. `question_only`: the most frequent
    training answer to the same question, or that of its type where training never asks it. `shuffled_images`: the
    model's own answer to the same question about another image, over the `shuffled_images_questions` questions that are
    asked about several images; the model's own accuracy on these is `own_image_same_questions`. None without training
    or without such questions.
    """
    blind = _from_training(questions, training) if training else {"majority": None, "question_only": None}
    return {**blind, **_shuffled(questions, seed)}


def _most_frequent(answers: Mapping[str, int]) -> str:
    # ties go to the first in the alphabet, so that the order of records does not matter
    return min(answers, key=lambda answer: (-answers[answer], answer))


def _from_training(questions: Sequence[AnsweredQuestion], training: AnswerCounts) -> dict[str, float]:
    overall = _most_frequent(sum(training.by_type.values(), Counter()))
    of_type = {name: _most_frequent(answers) for name, answers in training.by_type.items()}
    of_question = {text: _most_frequent(answers) for text, answers in training.by_question.items()}
    majority = [of_type.get(asked.type, overall) for asked in questions]
    blind = [of_question.get(asked.question, guess) for asked, guess in zip(questions, majority, strict=True)]
    return {"majority": _accuracy(majority, questions), "question_only": _accuracy(blind, questions)}


def _accuracy(answers: Sequence[str], questions: Sequence[AnsweredQuestion]) -> float:
    right = (same_answer(given, asked.reference) for given, asked in zip(answers, questions, strict=True))
    return sum(right) / len(questions)


def _shuffled(questions: Sequence[AnsweredQuestion], seed: int) -> dict[str, float | None]:
    random = np.random.default_rng(seed)
    asked_of: dict[str, dict[str, str]] = defaultdict(dict)
    for asked in questions:
        asked_of[asked.question].setdefault(asked.image, asked.answer)
    paired = [asked for asked in questions if len(asked_of[asked.question]) > 1]
    answers = {text: list(by_image.values()) for text, by_image in asked_of.items()}
    indices = {text: {image: index for index, image in enumerate(by_image)} for text, by_image in asked_of.items()}
    borrowed = []
    for asked in paired:
        others = answers[asked.question]
        # a step of 1 to n - 1 around the circle: every other image is equally likely
        step = int(random.integers(1, len(others)))
        borrowed.append(others[(indices[asked.question][asked.image] + step) % len(others)])
    return {
        "shuffled_images": _accuracy(borrowed, paired) if paired else None,
        "shuffled_images_questions": len(paired),
        "own_image_same_questions": sum(asked.right for asked in paired) / len(paired) if paired else None,
    }
