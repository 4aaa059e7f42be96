"""The training set as the controls need it: captions by image, and how often each answer was given."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tasks.evaluation.metrics.answer_matching import normalise_answer
from tasks.evaluation.metrics.ptb_tokenizer import tokenize_captions
from tasks.evaluation.pairing import RecordText
from tasks.evaluation.vqa_metrics import plain_question
from tasks.image_paths import image_key
from tasks.sources import UNNAMED, source_of, type_of_question

Frequencies = dict[str, Counter[str]]


@dataclass(frozen=True)
class AnswerCounts:
    """How often each normalised answer was given, by normalised question and by type of question."""

    by_question: Frequencies = field(default_factory=lambda: defaultdict(Counter))
    by_type: Frequencies = field(default_factory=lambda: defaultdict(Counter))

    def add(self, question: str, kind: str, answer: str) -> None:
        """Count one answer to a question of type `kind`."""
        self.by_question[question][answer] += 1
        self.by_type[kind][answer] += 1


class TrainingSet:
    """The captions and answers of a training set by source; its records are read once and not kept.

    `images` is the number of different images.
    """

    def __init__(self, records: Iterable[RecordText], unnamed: str = UNNAMED):
        self._captions: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._tokens: dict[str, dict[str, list[str]]] = {}
        self._answers: dict[str, AnswerCounts] = defaultdict(AnswerCounts)
        names = set()
        for record in records:
            names.add(image_key(record.image))
            source = source_of(record.image, unnamed)
            types = record.types or (None,) * len(record.turns)
            for task, kind, (question, answer) in zip(record.tasks, types, record.turns, strict=True):
                if task == "captioning":
                    self._captions[source].append((image_key(record.image), answer))
                elif task == "vqa" and (normalised := normalise_answer(answer)):
                    kind = kind or type_of_question(source, question, answer)
                    self._answers[source].add(plain_question(question), kind, normalised)
        self.images = len(names)

    def captions(self, source: str) -> dict[str, list[str]]:
        """All captions of each image of a source in PTB tokens, without empty ones; images sorted by name."""
        if source not in self._tokens:
            self._tokens[source] = _tokens_by_image(self._captions.pop(source, []))
        return self._tokens[source]

    def answers(self, source: str) -> AnswerCounts | None:
        """The answers to a source's questions; None if there are none."""
        return self._answers.get(source)


def _tokens_by_image(captions: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    tokens = tokenize_captions([caption for _, caption in captions])
    by_image: dict[str, list[str]] = defaultdict(list)
    for (image, _), caption in zip(captions, tokens, strict=True):
        if caption:
            by_image[image].append(caption)
    return {image: by_image[image] for image in sorted(by_image)}
