"""Leakage of the test set into training: near-duplicate images, and repeated captions or question-answer pairs."""

from collections.abc import Callable, Mapping, Sequence
from typing import NotRequired, TypedDict

from tasks.data.duplicates.near_duplicates import Pair
from tasks.data.image_checks import ImageState
from tasks.image_paths import image_key
from tasks.prompt_text import Task, without_placeholder
from tasks.record_reader import Record, images_of
from tasks.sources import source_of
from tasks.turn_tasks import answered_turns

Sets = Mapping[str, Sequence[Record]]


class PairSets(TypedDict):
    """The sets that have each image of a pair."""

    first: list[str]
    second: list[str]


class PairFinding(TypedDict):
    """A pair of near-duplicates, as in Pair, and the sets that have its images."""

    first: str
    second: str
    identical: bool
    distance_bits: int
    correlation: float
    sets: PairSets


class CleanTest(TypedDict):
    """The test images that are in no way in training, and those that are."""

    images: int
    clean: int
    by_source: dict[str, dict[str, int]]
    clean_images: list[str]
    leaking: list[str]


class Findings(TypedDict):
    """The content of audit.json; the last three only for sets. Texts in training are counted by source."""

    version: int
    images: int
    unreadable: int
    pairs: list[PairFinding]
    pairs_across_sources: int
    pairs_across_sets: int
    captions: NotRequired[dict[str, dict[str, float]]]
    question_answer_pairs: NotRequired[dict[str, dict[str, float]]]
    test_images: NotRequired[CleanTest]


def leakage_of(states: Mapping[str, ImageState], pairs: Sequence[Pair], sets: Sets) -> Findings:
    """The content of audit.json; `states` and `pairs` name images by image_key, `sets` may be empty."""
    sets_of = _sets_by_image(sets)
    crossing = [pair for pair in pairs if _crosses(pair, sets_of)]
    report: Findings = {
        "version": 1,
        "images": len(states),
        "unreadable": sum(state.fault is not None for state in states.values()),
        "pairs": [_pair_row(pair, sets_of) for pair in pairs],
        "pairs_across_sources": sum(source_of(pair.first) != source_of(pair.second) for pair in pairs),
        "pairs_across_sets": len(crossing),
    }
    if "test" in sets and "train" in sets:
        report["captions"] = _repeated(sets, "captioning", lambda question, answer: (_plain(answer),))
        report["question_answer_pairs"] = _repeated(sets, "vqa", lambda *pair: tuple(map(_plain, pair)))
        report["test_images"] = _clean_test(sets, sets_of, crossing)
    return report


def clean_records(test: Sequence[Record], report: Findings) -> list[Record]:
    """The records of a test set whose images do not leak according to this report."""
    leaking = set(report["test_images"]["leaking"])
    return [record for record in test if image_key(record["image"]) not in leaking]


def _sets_by_image(sets: Sets) -> dict[str, set[str]]:
    sets_of: dict[str, set[str]] = {}
    for name, records in sets.items():
        for record in records:
            for image in images_of(record):
                sets_of.setdefault(image_key(image), set()).add(name)
    return sets_of


def _crosses(pair: Pair, sets_of: Mapping[str, set[str]]) -> bool:
    one, other = sets_of.get(pair.first, set()), sets_of.get(pair.second, set())
    return bool(one and other) and len(one | other) > 1


def _pair_row(pair: Pair, sets_of: Mapping[str, set[str]]) -> PairFinding:
    return {
        "first": pair.first,
        "second": pair.second,
        "identical": pair.identical,
        "distance_bits": pair.distance_bits,
        "correlation": pair.correlation,
        "sets": {"first": sorted(sets_of.get(pair.first, ())), "second": sorted(sets_of.get(pair.second, ()))},
    }


def _clean_test(sets: Sets, sets_of: Mapping[str, set[str]], crossing: Sequence[Pair]) -> CleanTest:
    """The test images that are neither in training nor near-duplicates of a training image."""
    test = {name for name, names in sets_of.items() if "test" in names}
    leaking = {name for name in test if "train" in sets_of[name]}
    for pair in crossing:
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            if "test" in sets_of[one] and "train" in sets_of[other]:
                leaking.add(one)
    by_source: dict[str, dict[str, int]] = {}
    for name in sorted(test):
        numbers = by_source.setdefault(source_of(name), {"images": 0, "clean": 0})
        numbers["images"] += 1
        numbers["clean"] += name not in leaking
    return {
        "images": len(test),
        "clean": len(test) - len(leaking),
        "by_source": by_source,
        "clean_images": sorted(test - leaking),
        "leaking": sorted(leaking),
    }


def _repeated(sets: Sets, task: Task, key_of: Callable[[str, str], tuple[str, ...]]) -> dict[str, dict[str, float]]:
    """By source, the number of texts of the test set that occur word for word in training."""
    known = {key_of(*pair) for record in sets["train"] for pair in _pairs(record, task)}
    numbers: dict[str, dict[str, float]] = {}
    for record in sets["test"]:
        if not (pairs := _pairs(record, task)):
            continue
        counted = numbers.setdefault(source_of(record["image"]), {"number": 0, "in_training": 0, "share": 0.0})
        for pair in pairs:
            counted["number"] += 1
            counted["in_training"] += key_of(*pair) in known
    for counted in numbers.values():
        counted["share"] = round(counted["in_training"] / counted["number"], 4)
    return numbers


def _pairs(record: Record, task: Task) -> list[tuple[str, str]]:
    """The questions of a task with their answers; those for boxes count as questions."""
    tasks = (task, "grounding") if task == "vqa" else (task,)
    return [(turn.question, turn.answer) for turn in answered_turns(record) if turn.task in tasks]


def _plain(text: str) -> str:
    return " ".join(without_placeholder(text).lower().split()).rstrip(" .")
