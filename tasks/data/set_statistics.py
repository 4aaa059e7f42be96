"""Statistics of the sets: images, turns, lengths and answers by source, and their tokens by a model's tokenizer."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

from tasks.data.records_file import by_source
from tasks.data.set_files import set_paths
from tasks.image_paths import image_key
from tasks.model.loading import load_processor
from tasks.prompt_text import without_placeholder
from tasks.question_types import stated_types
from tasks.record_reader import Record, first_image, images_of, no_fault, read_records
from tasks.sources import UNNAMED, source_of, type_of_question
from tasks.turn_tasks import AnsweredTurn, answered_turns

MOST_COMMON = 20
TOKENIZED_AT_ONCE = 10_000


def statistics_of(sets: Mapping[str, Sequence[Record]], unnamed: str = UNNAMED) -> dict[str, object]:
    """By set and source: numbers of images, records, turns and words, lengths of captions, distribution of answers."""
    return {
        name: {source: _source_statistics(source, chosen) for source, chosen in by_source(records, unnamed).items()}
        for name, records in sets.items()
    }


def _source_statistics(source: str, records: Sequence[Record]) -> dict[str, object]:
    typed = [
        pair
        for record in records
        for pair in zip(answered_turns(record), stated_types(record) or repeat(None), strict=False)
    ]
    turns = [turn for turn, _ in typed]
    words = [len(turn["value"].split()) for record in records for turn in record["conversations"]]
    numbers: dict[str, object] = {
        "images": len({image_key(image) for record in records for image in images_of(record)}),
        "records": len(records),
        "turns": len(words),
        "words": sum(words),
    }
    if captions := [turn.answer for turn in turns if turn.task == "captioning"]:
        numbers["captions"] = {"number": len(captions), "distinct": len(set(captions)), **_lengths(captions)}
    if questions := [pair for pair in typed if pair[0].task == "vqa"]:
        numbers["questions"] = _question_statistics(source, questions)
    return numbers


def _question_statistics(source: str, typed: Sequence[tuple[AnsweredTurn, str | None]]) -> dict[str, object]:
    types = Counter(kind or type_of_question(source, turn.question, turn.answer) for turn, kind in typed)
    answers = Counter(turn.answer for turn, _ in typed)
    return {
        "number": len(typed),
        "by_type": dict(types.most_common()),
        "answers": dict(answers.most_common(MOST_COMMON)),
        "distinct_answers": len(answers),
    }


def _lengths(texts: Sequence[str]) -> dict[str, float]:
    lengths = sorted(len(text.split()) for text in texts)
    mean = round(sum(lengths) / len(lengths), 2)
    return {
        "words_least": lengths[0],
        "words_mean": mean,
        "words_median": lengths[len(lengths) // 2],
        "words_most": lengths[-1],
    }


def count_tokens(sets: Path, model: Path, unnamed: str = UNNAMED) -> dict[str, object]:
    """By set and source: numbers of records and of tokens of questions and answers; and the tokens of one image.

    The words of the prompt template are not counted: their number depends on how training cuts the records. The counts
    belong to a run and not to the dataset version, which does not depend on a model.
    """
    processor = load_processor(model)
    # without a share for it there is no validation set
    records = {name: read_records(path, no_fault) for name, path in set_paths(sets).items() if path.exists()}
    texts = {turn["value"] for chosen in records.values() for record in chosen for turn in record["conversations"]}
    lengths = _token_lengths(sorted(texts), processor.tokenizer)
    return {
        "image": processor.image_tokens,
        "sets": {name: _tokens_by_source(chosen, lengths, unnamed) for name, chosen in records.items()},
    }


def _token_lengths(texts: Sequence[str], tokenizer: Any) -> dict[str, int]:
    # each text once: most questions, and many captions, occur a thousand times
    lengths: dict[str, int] = {}
    for start in range(0, len(texts), TOKENIZED_AT_ONCE):
        some = texts[start : start + TOKENIZED_AT_ONCE]
        plain = [without_placeholder(text) for text in some]
        encoded = tokenizer(plain, add_special_tokens=False)["input_ids"]
        lengths |= {text: len(ids) for text, ids in zip(some, encoded, strict=True)}
    return lengths


def _tokens_by_source(records: Iterable[Record], lengths: Mapping[str, int], unnamed: str) -> dict[str, dict[str, int]]:
    counted: dict[str, Counter[str]] = {}
    for record in records:
        source = source_of(first_image(record), unnamed)
        numbers = counted.setdefault(source, Counter(records=0, questions=0, answers=0))
        numbers["records"] += 1
        for turn in record["conversations"]:
            numbers["questions" if turn["from"] == "human" else "answers"] += lengths[turn["value"]]
    return {source: dict(numbers) for source, numbers in counted.items()}
