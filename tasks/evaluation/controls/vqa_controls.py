"""Image-blind baselines of questions: answers from the training set alone, or about another image."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from tasks.evaluation.controls.source_controls import SourceControls
from tasks.evaluation.controls.training_set import AnswerCounts
from tasks.evaluation.metrics.answer_matching import same_answer
from tasks.evaluation.scores import Controls
from tasks.evaluation.uncertainty.moments import Floats
from tasks.evaluation.vqa_metrics import AnsweredQuestion

BLIND = ("majority", "question_only", "shuffled_images")


def vqa_controls(questions: Sequence[AnsweredQuestion], training: AnswerCounts | None, seed: int) -> SourceControls:
    """Controls of one source, as accuracies over its questions, and the statistics of the image-blind ones.

    `majority`: the most frequent training answer to questions of the same type. `question_only`: the most frequent
    training answer to the same question, or that of its type where training never asks it. `shuffled_images`: the
    model's own answer to the same question about another image, over the `shuffled_images_questions` questions that are
    asked about several images; the model's own accuracy on these is `own_image_same_questions`. None without training
    or without such questions.
    """
    paired, borrowed = _shuffled(questions, seed)
    blind = _from_training(questions, training) if training else {}
    statistics = {name: _statistics(questions, answers) for name, answers in blind.items()}
    if paired:
        statistics["shuffled_images"] = _statistics(paired, borrowed)
    accuracies = {name: float(each[:, 1].sum() / each[:, 2].sum()) for name, each in statistics.items()}
    scores: Controls = {
        **dict.fromkeys(BLIND, None),
        **accuracies,
        "shuffled_images_questions": len(paired),
        "own_image_same_questions": sum(asked.right for asked in paired) / len(paired) if paired else None,
    }
    return SourceControls(scores, statistics)


def _most_frequent(answers: Mapping[str, int]) -> str:
    # ties go to the first in the alphabet, so that the order of records does not matter
    return min(answers, key=lambda answer: (-answers[answer], answer))


def _from_training(questions: Sequence[AnsweredQuestion], training: AnswerCounts) -> dict[str, list[str]]:
    """The answers of the controls that know the training set, one per question."""
    overall = _most_frequent(sum(training.by_type.values(), Counter()))
    of_type = {name: _most_frequent(answers) for name, answers in training.by_type.items()}
    of_question = {text: _most_frequent(answers) for text, answers in training.by_question.items()}
    majority = [of_type.get(asked.type, overall) for asked in questions]
    blind = [of_question.get(asked.question, guess) for asked, guess in zip(questions, majority, strict=True)]
    return {"majority": majority, "question_only": blind}


def _statistics(questions: Sequence[AnsweredQuestion], answers: Sequence[str]) -> Floats:
    """By image, (images, 3): the model's right answers, those of a control, and the number of questions."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for asked, answer in zip(questions, answers, strict=True):
        of_image = sums[asked.image]
        for column, amount in enumerate((asked.right, same_answer(answer, asked.reference), 1)):
            of_image[column] += amount
    return np.array([sums[image] for image in sorted(sums)])


def _shuffled(questions: Sequence[AnsweredQuestion], seed: int) -> tuple[list[AnsweredQuestion], list[str]]:
    """The questions that are asked about several images, each with the model's answer about another one."""
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
    return paired, borrowed
