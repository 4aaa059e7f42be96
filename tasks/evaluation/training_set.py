"""What the training set says, for the controls: captions by image, and answers by question."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tasks.data.sources import image_key, source_of, task_of, type_of_question
from tasks.evaluation.answers import normalise_answer
from tasks.evaluation.pairing import RecordText
from tasks.evaluation.ptb import tokenize_captions
from tasks.evaluation.vqa import plain_question


@dataclass(frozen=True)
class KnownAnswer:
    """A question of the training set, normalised, with its type and answer."""

    question: str
    type: str
    answer: str


def training_by_source(records: Iterable[RecordText], task: str) -> dict[str, list[RecordText]]:
    """The records of one task, by source, in order."""
    groups: dict[str, list[RecordText]] = defaultdict(list)
    for record in records:
        if task_of(record.raw) == task:
            groups[source_of(record.image)].append(record)
    return groups


def training_captions(records: Sequence[RecordText]) -> dict[str, list[str]]:
    """All captions of each image, in PTB tokens, empty ones left out; images sorted by name."""
    texts = [(image_key(record.image), caption) for record in records for _, caption in record.turns]
    tokens = tokenize_captions([caption for _, caption in texts])
    by_image: dict[str, list[str]] = defaultdict(list)
    for (image, _), caption in zip(texts, tokens, strict=True):
        if caption:
            by_image[image].append(caption)
    return {image: by_image[image] for image in sorted(by_image)}


def known_answers(records: Sequence[RecordText]) -> list[KnownAnswer]:
    """All questions of VQA records with their true answers."""
    return [
        KnownAnswer(
            plain_question(question),
            type_of_question(source_of(record.image), question, answer),
            normalise_answer(answer),
        )
        for record in records
        for question, answer in record.turns
    ]
