"""Numbers that describe the sets: images, turns, lengths and answers of each source."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.data.records_file import Record, read_records
from tasks.data.set_files import set_paths
from tasks.image_paths import image_key
from tasks.model.loading import load_reader
from tasks.sources import UNNAMED, source_of, type_of_question
from tasks.turn_tasks import turn_tasks

MOST_COMMON = 20


def statistics_of(sets: Mapping[str, Sequence[Record]], unnamed: str = UNNAMED) -> dict[str, Any]:
    """For each set and source: images, records, turns, words, and captions' lengths or answers' distribution."""
    described = {}
    for name, records in sets.items():
        sources: dict[str, list[Record]] = {}
        for record in records:
            sources.setdefault(source_of(record["image"], unnamed), []).append(record)
        described[name] = {source: _described(source, chosen) for source, chosen in sources.items()}
    return described


def _described(source: str, records: Sequence[Record]) -> dict[str, Any]:
    pairs = {"captioning": list[tuple[str, str]](), "vqa": list[tuple[str, str]]()}
    for record in records:
        texts = [turn["value"] for turn in record["conversations"]]
        for task, *pair in zip(turn_tasks(record), texts[::2], texts[1::2], strict=False):
            pairs[task].append((pair[0], pair[1]))
    words = [len(turn["value"].split()) for record in records for turn in record["conversations"]]
    numbers: dict[str, Any] = {
        "images": len({image_key(record["image"]) for record in records}),
        "records": len(records),
        "turns": len(words),
        "words": sum(words),
    }
    if captions := [answer for _, answer in pairs["captioning"]]:
        numbers["captions"] = {"number": len(captions), "distinct": len(set(captions)), **_lengths(captions)}
    if answers := pairs["vqa"]:
        numbers["questions"] = {
            "number": len(answers),
            "by_type": dict(Counter(type_of_question(source, *pair) for pair in answers).most_common()),
            "answers": dict(Counter(answer for _, answer in answers).most_common(MOST_COMMON)),
            "distinct_answers": len({answer for _, answer in answers}),
        }
    return numbers


def _lengths(texts: Sequence[str]) -> dict[str, float]:
    lengths = sorted(len(text.split()) for text in texts)
    mean = round(sum(lengths) / len(lengths), 2)
    return {
        "words_least": lengths[0],
        "words_mean": mean,
        "words_median": lengths[len(lengths) // 2],
        "words_most": lengths[-1],
    }


TEXTS_AT_ONCE = 10_000


def count_tokens(sets: Path, model: Path, unnamed: str = UNNAMED) -> dict[str, Any]:
    """By set and source: records, tokens of the questions and of the answers, and the tokens of one image.

    The prompt template's own words are not counted: their number depends on how records are cut for training.
    """
    reader = load_reader(model)
    # without a share for it there is no validation set
    records = {name: read_records(path) for name, path in set_paths(sets).items() if path.exists()}
    texts = {turn["value"] for chosen in records.values() for record in chosen for turn in record["conversations"]}
    lengths = _lengths(sorted(texts), reader.tokenizer)
    return {
        "image": reader.image_tokens,
        "sets": {name: _by_source(chosen, lengths, unnamed) for name, chosen in records.items()},
    }


def _lengths(texts: list[str], tokenizer: Any) -> dict[str, int]:
    # each text once: most questions, and many captions, stand in the sets a thousand times
    lengths: dict[str, int] = {}
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        some = texts[start : start + TEXTS_AT_ONCE]
        plain = [text.replace("<image>", "").strip() for text in some]
        encoded = tokenizer(plain, add_special_tokens=False)["input_ids"]
        lengths |= {text: len(ids) for text, ids in zip(some, encoded, strict=True)}
    return lengths


def _by_source(records: Iterable[Record], lengths: dict[str, int], unnamed: str) -> dict[str, dict[str, int]]:
    counted: dict[str, Counter[str]] = {}
    for record in records:
        numbers = counted.setdefault(source_of(record["image"], unnamed), Counter(records=0, questions=0, answers=0))
        numbers["records"] += 1
        for turn in record["conversations"]:
            numbers["questions" if turn["from"] == "human" else "answers"] += lengths[turn["value"]]
    return {source: dict(numbers) for source, numbers in counted.items()}
