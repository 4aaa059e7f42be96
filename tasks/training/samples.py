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
    Turn,
    encode_conversation,
    place_image,
)

NO_ANSWER = "no answer to learn from"
TOO_LONG = "one question and answer longer than model_max_length"


@dataclass(frozen=True)
class Sample:
    """One sample: the record that it comes from, its image's path and its encoded turns."""

    record_id: str
    image: str | None
    encoded: EncodedConversation
    length: int  # tokens, with the image's


def make_samples(
    records: Iterable[dict[str, Any]], reader: Reader, max_length: int, split_long: bool
) -> tuple[list[Sample], Counter[str]]:
    """Encode all records; returns the samples and how many records or parts were dropped for which reason."""
    samples: list[Sample] = []
    dropped: Counter[str] = Counter()
    for record in records:
        for turns in _parts(record, reader, max_length, split_long):
            sample = _sample(record, turns, reader)
            reason = _reason_to_drop(sample, max_length)
            if reason:
                dropped[reason] += 1
            else:
                samples.append(sample)
    return samples, dropped


def _reason_to_drop(sample: Sample, max_length: int) -> str | None:
    if not sample.encoded.supervised_tokens:
        return NO_ANSWER
    return TOO_LONG if sample.length > max_length else None


def _sample(record: dict[str, Any], turns: Sequence[Turn], reader: Reader) -> Sample:
    encoded = encode_conversation(reader.tokenizer, turns)
    length = len(encoded.input_ids) + encoded.input_ids.count(IMAGE_INDEX) * (reader.image_tokens - 1)
    return Sample(str(record["id"]), record.get("image"), encoded, length)


def _parts(record: dict[str, Any], reader: Reader, max_length: int, split_long: bool) -> Iterator[list[Turn]]:
    """The record's turns, whole or in as few parts as fit; each part shows the image first."""
    rounds = _answered_rounds(record)
    whole = [turn for pair in rounds for turn in pair]
    if not split_long or _sample(record, whole, reader).length <= max_length:
        yield whole
        return
    part: list[Turn] = []
    has_image = record.get("image") is not None
    for question, answer in rounds:
        longer = [*part, question, answer]
        if part and _sample(record, longer, reader).length > max_length:
            yield part
            longer = [_with_image(question) if has_image else question, answer]
        part = longer
    yield part


def _answered_rounds(record: dict[str, Any]) -> list[tuple[Turn, Turn]]:
    turns = [(turn["from"], place_image(turn["value"])) for turn in record["conversations"]]
    # an empty answer teaches to say nothing; its round is left out, the others stay
    return [(question, answer) for question, answer in zip(turns[::2], turns[1::2], strict=False) if answer[1].strip()]


def _with_image(turn: Turn) -> Turn:
    role, text = turn
    return role, text if IMAGE_PLACEHOLDER in text else f"{IMAGE_PLACEHOLDER}\n{text}"
