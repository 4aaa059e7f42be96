"""Read the records of a set and encode them as samples: tokens and labels, split between turns if too long."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.errors import DataError, shortened
from tasks.files import fits_utf8
from tasks.image_paths import image_file
from tasks.model.encoding import IGNORE_INDEX, IMAGE_INDEX, EncodedConversation, Turn
from tasks.model.image_size import image_size
from tasks.model.processor import Processor
from tasks.paths import VALIDATION_SET
from tasks.prompt_text import IMAGE_PLACEHOLDER, ensure_placeholder, placeholder_first, without_placeholder
from tasks.record_reader import (
    LONE_SURROGATE,
    NO_ANSWER,
    SEVERAL_IMAGES,
    Fault,
    Record,
    images_of,
    paths_fault,
    read_records,
)

Round = tuple[str, str]

WRONG_ROLES = "turns do not alternate human, gpt from the first on"
NO_QUESTION = "first answer without a question"
NO_LAST_ANSWER = "last question without an answer"
EMPTY_ANSWER = "question with an empty answer"
TOO_LONG = "one question and answer longer than model_max_length"
CUT = "answers cut at model_max_length"
ONE_IMAGE_MODEL = f"{SEVERAL_IMAGES}, and this model takes one: choose another model.base"
OTHER_COUNT = "several images, and another number of <image>"


def training_fault(record: Record) -> Fault | None:
    """Why a record cannot be trained on, or None.

    It may be text alone or have several images, and its roles are checked with its rounds.
    """
    return paths_fault(record)


def read_set(folder: Path, file: str) -> list[Record]:
    """Read TRAIN_SET or VALIDATION_SET of a dataset; the latter is empty if train and test leave no share for it."""
    path = folder / file
    return read_records(path, training_fault) if file != VALIDATION_SET or path.exists() else []


@dataclass(frozen=True)
class Sample:
    """One training sample: the id of its record, the paths of its images, and its encoded turns."""

    record_id: str
    images: tuple[str, ...]
    encoded: EncodedConversation
    length: int  # in tokens, including those of the images
    words: int = 0  # LLaVA's length of a conversation: negative without an image


@dataclass(frozen=True)
class LengthLimit:
    """The maximum length of a sample in tokens, including those of images, and how longer records are handled."""

    tokens: int
    split: bool  # into several samples, between turns; otherwise truncated, as in the reference


def make_samples(
    records: Iterable[Record], processor: Processor, images: Path, limit: LengthLimit
) -> tuple[list[Sample], Counter[str]]:
    """Encode records; returns the samples, and how many records, parts or turns were dropped, by reason.

    Files in the folder `images` are opened only if the number of an image's tokens depends on its size. Records with
    several images are dropped unless the model takes them; unless it takes dialogues, each round is a sample of its
    own. Raises DataError, naming the record, for one that the model's processor refuses.
    """
    encoder = SampleEncoder(processor, images, limit)
    samples: list[Sample] = []
    dropped: Counter[str] = Counter()
    for record in records:
        parts, lost = encoder.parts_of(record)
        samples += [part.sample for part in parts]
        dropped += lost
    return samples, dropped


@dataclass(frozen=True)
class Part:
    """A sample, and the rounds of question and answer that it encodes."""

    sample: Sample
    rounds: Sequence[Round]


class SampleEncoder:
    """Encodes records for one model: its processor, the folder of the images, and the maximum length."""

    def __init__(self, processor: Processor, images: Path, limit: LengthLimit):
        self._processor, self._images, self._limit = processor, images, limit

    def parts_of(self, record: Record) -> tuple[list[Part], Counter[str]]:
        """The samples of one record, usually one, and how much of it was dropped, by reason."""
        if len(images_of(record)) > 1 and not self._processor.several_images:
            return [], Counter({ONE_IMAGE_MODEL: 1})
        rounds, lost = _usable_rounds(record)
        parts: list[Part] = []
        try:
            sizes = self._image_tokens(record) if rounds else []
            for conversation in self._conversations(rounds, len(sizes)):
                fitting, too_long = self._fitting(record, conversation, sizes)
                parts += fitting
                lost += too_long
        except DataError as error:
            raise DataError(f"Record {shortened(record['id'])}: {error}") from None
        return parts, lost

    def _conversations(self, rounds: Sequence[Round], images: int) -> list[list[Round]]:
        """All rounds as one conversation, or each alone with all images, as the model takes them."""
        if self._processor.dialogues:
            return [list(rounds)] if rounds else []
        return [[(_showing(question, images), answer)] for question, answer in rounds]

    def _fitting(
        self, record: Record, rounds: Sequence[Round], sizes: Sequence[int]
    ) -> tuple[list[Part], Counter[str]]:
        """The samples of one conversation that fit the limit, and how much of it was dropped, by reason."""
        uncut = self._part(record, rounds, sizes)
        if uncut.sample.length <= self._limit.tokens:
            return [uncut], Counter()
        if not self._limit.split:
            cut = _truncated(uncut, sizes, self._limit.tokens)
            return cut, Counter({CUT if cut else TOO_LONG: 1})
        parts = list(self._split(record, rounds, sizes))
        fitting = [part for part in parts if part.sample.length <= self._limit.tokens]
        return fitting, Counter({TOO_LONG: len(parts) - len(fitting)})

    def _image_tokens(self, record: Record) -> list[int]:
        """The number of tokens of each image of a record."""
        images, fixed = images_of(record), self._processor.image_tokens
        if fixed is not None:
            return [fixed] * len(images)
        return [self._processor.count_tokens(image_size(image_file(self._images, image))) for image in images]

    def _part(self, record: Record, rounds: Sequence[Round], sizes: Sequence[int]) -> Part:
        turns, images = turns_of(rounds), images_of(record)
        encoded = self._processor.encode_conversation(turns, len(images))
        words = word_count([text for _, text in turns], bool(images))
        return Part(Sample(str(record["id"]), images, encoded, _length(encoded, sizes), words), rounds)

    def _split(self, record: Record, rounds: Sequence[Round], sizes: Sequence[int]) -> Iterator[Part]:
        """Split a record's rounds into as few parts as fit the limit; each part shows all images first."""
        rest = list(rounds)
        while rest:
            rest = _images_first(rest, len(sizes))
            part, count = self._part(record, rest, sizes), len(rest)
            while part.sample.length > self._limit.tokens and count > 1:
                count = min(count - 1, max(1, _fitting_rounds(part.sample, self._limit.tokens)))
                part = self._part(record, rest[:count], sizes)
            yield part
            rest = rest[count:]


def turns_of(rounds: Sequence[Round]) -> list[Turn]:
    """The turns of rounds of question and answer."""
    return [turn for question, answer in rounds for turn in (("human", question), ("gpt", answer))]


def word_count(texts: Sequence[str], has_image: bool) -> int:
    """LLaVA's length of a conversation: the words of all turns, negative without an image."""
    words = sum(len(text.split()) for text in texts)
    return words if has_image else -words


def _length(encoded: EncodedConversation, sizes: Sequence[int]) -> int:
    """Number of tokens, with each image expanded to its tokens; `sizes` are those of the record's images."""
    ids = encoded.input_ids
    return len(ids) + sum(size - 1 for size in sizes[: ids.count(IMAGE_INDEX)])


def _fitting_rounds(sample: Sample, max_length: int) -> int:
    """How many of a sample's first rounds fit into a sample, if the first shows all images."""
    # read from its labels: to encode rounds one by one takes hours for a set of long dialogues
    labels = [*sample.encoded.labels, IGNORE_INDEX]
    ends = [end for end in range(1, len(labels)) if labels[end - 1] != IGNORE_INDEX and labels[end] == IGNORE_INDEX]
    # of images, and after the last answer
    others = sample.length - ends[-1]
    return sum(end + others <= max_length for end in ends)


def _truncated(part: Part, sizes: Sequence[int], max_length: int) -> list[Part]:
    """The beginning of a sample, truncated as in the reference; nothing if no answer is left, or part of an image."""
    ids, labels = part.sample.encoded.input_ids, part.sample.encoded.labels
    kept = max(0, max_length - sum(size - 1 for size in sizes[: ids.count(IMAGE_INDEX)]))
    encoded = EncodedConversation(ids[:kept], labels[:kept])
    if not encoded.supervised_tokens:
        return []
    return [replace(part, sample=replace(part.sample, encoded=encoded, length=_length(encoded, sizes)))]


def _usable_rounds(record: Record) -> tuple[list[Round], Counter[str]]:
    """Rounds of question and answer, with each image shown once, and how much was dropped, by reason."""
    images = len(images_of(record))
    turns = [(turn["from"], turn["value"]) for turn in record["conversations"]]
    if images == 1:
        turns = [(role, placeholder_first(text)) for role, text in turns]
    if not fits_utf8(turns):
        return [], Counter({LONE_SURROGATE: 1})
    lost: Counter[str] = Counter()
    if turns and turns[0][0] == "gpt":
        del turns[0]
        lost[NO_QUESTION] = 1
    if len(turns) % 2 and turns[-1][0] == "human":
        turns.pop()
        lost[NO_LAST_ANSWER] = 1
    if [role for role, _ in turns] != ["human", "gpt"] * (len(turns) // 2):
        return [], Counter({WRONG_ROLES: 1})
    texts = [text for _, text in turns]
    rounds = list(zip(texts[::2], texts[1::2], strict=True))
    # an empty answer would train the model to say nothing; only its round is dropped
    kept = [(question, answer) for question, answer in rounds if answer]
    lost[EMPTY_ANSWER] = len(rounds) - len(kept)
    lost[NO_ANSWER] = not kept
    if images > 1:
        shown = _images_once(kept, images)
        return (shown, +lost) if shown or not kept else ([], Counter({OTHER_COUNT: 1}))
    return _image_once(kept) if images else kept, +lost


def _image_once(rounds: Sequence[Round]) -> list[Round]:
    """The rounds with the image where its placeholder first occurs, otherwise in the first round, and nowhere else."""
    # a record has one image: a second placeholder would have no pixels, and without one training ignores the image
    marked = [number for number, (question, _) in enumerate(rounds) if IMAGE_PLACEHOLDER in question]
    shown_in = marked[0] if marked else 0
    return [
        (ensure_placeholder(question) if number == shown_in else _without_image(question), _without_image(answer))
        for number, (question, answer) in enumerate(rounds)
    ]


def _images_once(rounds: Sequence[Round], images: int) -> list[Round]:
    """The rounds with all placeholders of several images, in the first round if there are none; [] if others."""
    named = sum(question.count(IMAGE_PLACEHOLDER) for question, _ in rounds)
    if named not in (0, images):
        return []
    return [
        (_showing(question, images) if number == 0 and not named else question, _without_image(answer))
        for number, (question, answer) in enumerate(rounds)
    ]


def _images_first(rounds: Sequence[Round], images: int) -> list[Round]:
    """The rounds with all image placeholders in the first."""
    (question, answer), *later = rounds
    rest = [(_without_image(text), reply) for text, reply in later] if images else later
    return [(_showing(question, images), answer), *rest]


def _showing(question: str, images: int) -> str:
    """A question with `images` placeholders: as it is, or with all of them on lines before it."""
    if not images or question.count(IMAGE_PLACEHOLDER) == images:
        return question
    return f"{IMAGE_PLACEHOLDER}\n" * images + _without_image(question)


def _without_image(text: str) -> str:
    # the reference keeps the white space around texts that have no placeholder
    return without_placeholder(text) if IMAGE_PLACEHOLDER in text else text
