"""Numbers that describe the sets: images, turns, lengths and answers of each source."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.data.records_file import Record
from tasks.image_paths import image_key
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
