"""Records become samples: tokens and labels, cut at turn borders where a record is too long."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.model.loading import Reader
from tasks.model.prompt import (
    IMAGE_INDEX,
    IMAGE_PLACEHOLDER,
    EncodedConversation,
    encode_conversation,
    encode_round,
    place_image,
)

Round = tuple[str, str]

WRONG_ROLES = "turns do not alternate human, gpt from the first on"
UNANSWERED = "last question without an answer"
EMPTY_ANSWER = "question with an empty answer"
NO_ANSWER = "no answer to learn from"
TOO_LONG = "one question and answer longer than model_max_length"


@dataclass(frozen=True)
class Sample:
    """One sample: the record that it comes from, its image's path and its encoded turns."""

    record_id: str
    image: str | None
    encoded: EncodedConversation
    length: int  # tokens, with the image's
    words: int = 0  # as the reference counts them: below 0 without an image


def make_samples(
    records: Iterable[dict[str, Any]], reader: Reader, max_length: int, split_long: bool
) -> tuple[list[Sample], Counter[str]]:
    """Encode all records; returns the samples and how many records, parts or turns were dropped for which reason."""
    samples: list[Sample] = []
    dropped: Counter[str] = Counter()
    for record in records:
        rounds, lost = _learnable_rounds(record)
        dropped.update(lost)
        for part in _parts(record, rounds, reader, max_length, split_long):
            sample = _sample(record, part, reader)
            if sample.length > max_length:
                dropped[TOO_LONG] += 1
            else:
                samples.append(sample)
    return samples, dropped


def _sample(record: dict[str, Any], rounds: Sequence[Round], reader: Reader) -> Sample:
    turns = [turn for question, answer in rounds for turn in (("human", question), ("gpt", answer))]
    encoded = encode_conversation(reader.tokenizer, turns)
    words = words_of([text for _, text in turns], record.get("image") is not None)
    return Sample(str(record["id"]), record.get("image"), encoded, _length(encoded, reader), words)


def words_of(texts: Sequence[str], has_image: bool) -> int:
    """A conversation's length as LLaVA counts it: the words of all turns, negative without an image."""
    words = sum(len(text.split()) for text in texts)
    return words if has_image else -words


def _length(encoded: EncodedConversation, reader: Reader) -> int:
    return len(encoded.input_ids) + encoded.input_ids.count(IMAGE_INDEX) * (reader.image_tokens - 1)


def _learnable_rounds(record: dict[str, Any]) -> tuple[list[Round], Counter[str]]:
    """Questions with their answers, the image shown once, and what was left out for which reason."""
    turns = [(turn["from"], place_image(turn["value"])) for turn in record["conversations"]]
    lost: Counter[str] = Counter()
    if len(turns) % 2 and turns[-1][0] == "human":
        turns.pop()
        lost[UNANSWERED] = 1
    if [role for role, _ in turns] != ["human", "gpt"] * (len(turns) // 2):
        return [], Counter({WRONG_ROLES: 1})
    texts = [text for _, text in turns]
    rounds = list(zip(texts[::2], texts[1::2], strict=True))
    # an empty answer teaches to say nothing; its round is left out, the others stay
    kept = [(question, answer) for question, answer in rounds if answer.strip()]
    lost[EMPTY_ANSWER] = len(rounds) - len(kept)
    lost[NO_ANSWER] = not kept
    return _image_once(kept, record.get("image") is not None), +lost


def _image_once(rounds: Sequence[Round], has_image: bool) -> list[Round]:
    """The same rounds with the image where it is first named, or else in the first, and nowhere again."""
    # a record has one image: a second placeholder would have no pixels, and none at all would train blind
    named = [number for number, (question, _) in enumerate(rounds) if IMAGE_PLACEHOLDER in question]
    place = (named[0] if named else 0) if has_image else None
    return [
        (_with_image(question) if number == place else _without_image(question), _without_image(answer))
        for number, (question, answer) in enumerate(rounds)
    ]


def _parts(
    record: dict[str, Any], rounds: Sequence[Round], reader: Reader, max_length: int, split_long: bool
) -> Iterator[Sequence[Round]]:
    """The record's rounds, whole or in as few parts as fit; each part shows the image first."""
    if not rounds:
        return
    if not split_long or _sample(record, rounds, reader).length <= max_length:
        yield rounds
        return
    part: list[Round] = []
    length = 0
    has_image = record.get("image") is not None
    for question, answer in rounds:
        later = (_without_image(question), answer)
        added = _length(encode_round(reader.tokenizer, 1, *later), reader)
        if part and length + added <= max_length:
            part.append(later)
            length += added
            continue
        if part:
            yield part
        part = [(_with_image(question), answer) if has_image else later]
        length = _sample(record, part, reader).length
    yield part


def _with_image(question: str) -> str:
    return question if IMAGE_PLACEHOLDER in question else f"{IMAGE_PLACEHOLDER}\n{question}"


def _without_image(text: str) -> str:
    return text.replace(IMAGE_PLACEHOLDER, "").strip() if IMAGE_PLACEHOLDER in text else text
