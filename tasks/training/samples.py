"""Records become samples: tokens and labels, parted between turns where a record is too long."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tasks.files import fits_utf8
from tasks.model.llava.prompt import (
    IMAGE_INDEX,
    IMAGE_PLACEHOLDER,
    EncodedConversation,
    encode_conversation,
    encode_round,
    place_image,
)
from tasks.model.loading import Processor
from tasks.prompt_text import with_placeholder, without_placeholder

Round = tuple[str, str]

WRONG_ROLES = "turns do not alternate human, gpt from the first on"
UNASKED = "first answer without a question"
UNANSWERED = "last question without an answer"
EMPTY_ANSWER = "question with an empty answer"
NO_ANSWER = "no answer to learn from"
HALF_CHARACTER = "half a Unicode character (a lone surrogate)"
TOO_LONG = "one question and answer longer than model_max_length"
CUT = "answers cut at model_max_length"


@dataclass(frozen=True)
class Sample:
    """One sample: the record that it comes from, its image's path and its encoded turns."""

    record_id: str
    image: str | None
    encoded: EncodedConversation
    length: int  # tokens, with the image's
    words: int = 0  # as the reference counts them: below 0 without an image


@dataclass(frozen=True)
class Limit:
    """The longest sample in tokens, the image's included, and what becomes of longer records."""

    tokens: int
    split: bool  # into several samples, between turns; else cut at the limit, as the reference does


def make_samples(
    records: Iterable[dict[str, Any]], processor: Processor, max_length: int, split_long: bool
) -> tuple[list[Sample], Counter[str]]:
    """Encode all records; returns the samples and how many records, parts or turns were dropped for which reason."""
    samples: list[Sample] = []
    dropped: Counter[str] = Counter()
    for record in records:
        parts, lost = parts_of(record, processor, Limit(max_length, split_long))
        samples += [part.sample for part in parts]
        dropped += lost
    return samples, dropped


@dataclass(frozen=True)
class Part:
    """A sample and the rounds that it shows."""

    sample: Sample
    rounds: Sequence[Round]


def parts_of(record: dict[str, Any], processor: Processor, limit: Limit) -> tuple[list[Part], Counter[str]]:
    """The samples of one record, most often one, and what of it was dropped for which reason."""
    rounds, lost = _learnable_rounds(record)
    whole = [_part(record, rounds, processor)] if rounds else []
    if not whole or whole[0].sample.length <= limit.tokens:
        return whole, lost
    if not limit.split:
        cut = _cut(whole[0], processor, limit.tokens)
        return cut, lost + Counter({CUT if cut else TOO_LONG: 1})
    parts = [_part(record, some, processor) for some in _split(record, rounds, processor, limit.tokens)]
    fitting = [part for part in parts if part.sample.length <= limit.tokens]
    return fitting, lost + Counter({TOO_LONG: len(parts) - len(fitting)})


def _part(record: dict[str, Any], rounds: Sequence[Round], processor: Processor) -> Part:
    turns = [turn for question, answer in rounds for turn in (("human", question), ("gpt", answer))]
    has_image = _has_image(record)
    encoded = encode_conversation(processor.tokenizer, turns, has_image)
    words = words_of([text for _, text in turns], has_image)
    sample = Sample(str(record["id"]), record.get("image"), encoded, _length(encoded, processor), words)
    return Part(sample, rounds)


def words_of(texts: Sequence[str], has_image: bool) -> int:
    """A conversation's length as LLaVA counts it: the words of all turns, negative without an image."""
    words = sum(len(text.split()) for text in texts)
    return words if has_image else -words


def _has_image(record: dict[str, Any]) -> bool:
    return record.get("image") is not None


def _length(encoded: EncodedConversation, processor: Processor) -> int:
    return len(encoded.input_ids) + encoded.input_ids.count(IMAGE_INDEX) * (processor.image_tokens - 1)


def _cut(part: Part, processor: Processor, max_length: int) -> list[Part]:
    """The beginning of a sample, as the reference cuts it; nothing where that holds no answer or half an image."""
    ids = part.sample.encoded.input_ids
    kept = max(0, max_length - (processor.image_tokens - 1) * ids.count(IMAGE_INDEX))
    encoded = EncodedConversation(ids[:kept], part.sample.encoded.labels[:kept])
    if not encoded.supervised_tokens:
        return []
    return [replace(part, sample=replace(part.sample, encoded=encoded, length=_length(encoded, processor)))]


def _learnable_rounds(record: dict[str, Any]) -> tuple[list[Round], Counter[str]]:
    """Questions with their answers, the image shown once, and what was left out for which reason."""
    has_image = _has_image(record)
    turns = [
        (turn["from"], place_image(turn["value"]) if has_image else turn["value"]) for turn in record["conversations"]
    ]
    if not fits_utf8(turns):
        return [], Counter({HALF_CHARACTER: 1})
    lost: Counter[str] = Counter()
    if turns and turns[0][0] == "gpt":
        del turns[0]
        lost[UNASKED] = 1
    if len(turns) % 2 and turns[-1][0] == "human":
        turns.pop()
        lost[UNANSWERED] = 1
    if [role for role, _ in turns] != ["human", "gpt"] * (len(turns) // 2):
        return [], Counter({WRONG_ROLES: 1})
    texts = [text for _, text in turns]
    rounds = list(zip(texts[::2], texts[1::2], strict=True))
    # an empty answer teaches to say nothing; its round is left out, the others stay
    kept = [(question, answer) for question, answer in rounds if answer]
    lost[EMPTY_ANSWER] = len(rounds) - len(kept)
    lost[NO_ANSWER] = not kept
    return _image_once(kept) if has_image else kept, +lost


def _image_once(rounds: Sequence[Round]) -> list[Round]:
    """The same rounds with the image where it is first named, or else in the first, and nowhere again."""
    # a record has one image: a second placeholder would have no pixels, and none at all would train blind
    named = [number for number, (question, _) in enumerate(rounds) if IMAGE_PLACEHOLDER in question]
    place = named[0] if named else 0
    return [
        (_with_image(question) if number == place else _without_image(question), _without_image(answer))
        for number, (question, answer) in enumerate(rounds)
    ]


def _split(
    record: dict[str, Any], rounds: Sequence[Round], processor: Processor, max_length: int
) -> Iterator[Sequence[Round]]:
    """The record's rounds in as few parts as fit; each part shows the image first."""
    part: list[Round] = []
    length = 0
    has_image = _has_image(record)
    for question, answer in rounds:
        later = (_without_image(question), answer) if has_image else (question, answer)
        added = _length(encode_round(processor.tokenizer, 1, *later, has_image), processor)
        if part and length + added <= max_length:
            part.append(later)
            length += added
            continue
        if part:
            yield part
        part = [(_with_image(question), answer) if has_image else later]
        length = _part(record, part, processor).sample.length
    yield part


def _with_image(question: str) -> str:
    return question if IMAGE_PLACEHOLDER in question else with_placeholder(question)


def _without_image(text: str) -> str:
    return without_placeholder(text) if IMAGE_PLACEHOLDER in text else text
