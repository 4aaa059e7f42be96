"""The gallery: best, typical and worst examples of each source, with image, references and answers."""

import base64
import io
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from tasks.errors import DataError
from tasks.evaluation.tables import Row, is_scored
from tasks.image_paths import image_file
from tasks.model.images import read_image

SIDE_PX = 240
# one quality after the other, until a picture is small enough: 300 of them stay below 10 MB, also of noise
JPEG_QUALITIES = (72, 50, 30)
PICTURE_BYTES = 20_000
MOST_QUESTIONS, MOST_WRONG = 8, 5
MOST_CHARACTERS = 400

Example = dict[str, Any]
# the place of a record, and what is asked: one may ask for captions and for answers
RecordTask = tuple[int, str]


class Worth(NamedTuple):
    """What a model's answers to a record's questions of one task are worth; None of a caption without CIDEr."""

    image: str
    key: RecordTask
    worth: float | None


def choose_examples(rows: Iterable[Row], base: Iterable[Row] | None, images: Path | None, count: int) -> list[Example]:
    """`count` examples, as many of each source as it has and `equal_shares` leaves it: a third best, typical, worst.

    Captions are ranked by CIDEr, VQA images by their share of right answers. Rows are walked through twice.
    """
    sources = _worths(rows)
    chosen: dict[RecordTask, tuple[str, float | None]] = {}
    for worths, share in zip(sources, equal_shares([len(each) for each in sources], count), strict=True):
        ranked = sorted(worths, key=lambda one: (-(one.worth or 0.0), one.image))
        chosen |= {ranked[place].key: (rank, ranked[place].worth) for rank, place in ranked_places(len(ranked), share)}
    shown, of_base = (_by_record(found or (), chosen) for found in (rows, base))
    return [
        _example(rank, worth, [row for row in shown[key] if is_scored(row)], of_base[key], images)
        for key, (rank, worth) in chosen.items()
    ]


def _worths(rows: Iterable[Row]) -> list[list[Worth]]:
    """By source, what the answers to each of its records are worth."""
    groups: dict[tuple[str, str], dict[tuple[str, RecordTask], list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if is_scored(row):
            worth = row["CIDEr"] if row["right"] is None else row["right"]
            known = groups[row["task"], row["source"]][row["image"], (row["record"], row["task"])]
            known += [] if worth is None else [float(worth)]
    return [
        [Worth(image, key, mean(worths) if worths else None) for (image, key), worths in by_record.items()]
        for _, by_record in sorted(groups.items())
    ]


def _by_record(rows: Iterable[Row], keys: Container[RecordTask]) -> dict[RecordTask, list[Row]]:
    found: dict[RecordTask, list[Row]] = defaultdict(list)
    for row in rows:
        if (row["record"], row["task"]) in keys:
            found[row["record"], row["task"]].append(row)
    return found


def equal_shares(sizes: Sequence[int], count: int) -> list[int]:
    """`count` shared out equally over sources of these sizes; what a small one cannot fill goes to the others."""
    shares = [0] * len(sizes)
    smallest_first = sorted(range(len(sizes)), key=lambda place: sizes[place])
    for rank, place in enumerate(smallest_first):
        shares[place] = min(sizes[place], (count - sum(shares)) // (len(sizes) - rank))
    return shares


def ranked_places(length: int, count: int) -> list[tuple[str, int]]:
    """Places in a list from best to worst: the first, the middle and the last, a third of `count` each."""
    count = min(length, count)
    best, worst = (count + 2) // 3, (count + 1) // 3
    typical = count - best - worst
    middle = best + (length - best - worst - typical) // 2
    return (
        [("best", place) for place in range(best)]
        + [("typical", place) for place in range(middle, middle + typical)]
        + [("worst", place) for place in range(length - worst, length)]
    )


def _example(rank: str, worth: float | None, group: Sequence[Row], base: Sequence[Row], images: Path | None) -> Example:
    first, of_base = group[0], {row["turn"]: row for row in base}
    return {
        "rank": rank,
        "task": first["task"],
        "source": first["source"],
        "image": first["image"],
        "picture": _data_uri(image_file(images, first["image"])) if images else None,
        "worth": worth,
        "asked": len(group),
        "right": sum(bool(row["right"]) for row in group),
        "turns": [_turn(row, of_base.get(row["turn"])) for row in _shown(group)],
    }


def _shown(group: Sequence[Row]) -> list[Row]:
    """A few turns, some answered wrongly and some rightly, where there are both."""
    wrong = [row for row in group if not row["right"]]
    right = [row for row in group if row["right"]]
    kept = [*wrong[:MOST_WRONG], *right, *wrong[MOST_WRONG:]][:MOST_QUESTIONS]
    return sorted(kept, key=lambda row: (bool(row["right"]), row["turn"]))


def _turn(row: Row, base: Row | None) -> dict[str, Any]:
    return {
        "question": shorten(row["question"]),
        "references": [shorten(text) for text in dict.fromkeys(row["references"])],
        "answer": shorten(row["answer"]),
        "type": row["type"],
        "right": row["right"],
        "no_answer": row["no_answer"],
        "CIDEr": row["CIDEr"],
        "states": " ".join(_states(row, base)),
        "base": base and {"answer": shorten(base["answer"]), "right": base["right"], "CIDEr": base["CIDEr"]},
    }


def _states(row: Row, base: Row | None) -> list[str]:
    """By what a turn is found: right or wrong, no answer, better or worse than the base model's."""
    states = [] if row["right"] is None else ["right" if row["right"] else "wrong"]
    states += ["none"] if row["no_answer"] else []
    key = "CIDEr" if row["right"] is None else "right"
    if base is None or row[key] == base[key]:
        return states
    return [*states, "better" if row[key] > base[key] else "worse"]


def shorten(text: str) -> str:
    """A text, of a long one the first 400 characters and how many it has."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} ... ({len(text):,} characters)"


def _data_uri(path: Path) -> str | None:
    """A small JPEG as a data URI; None for an image that is missing or none, which the page says."""
    try:
        image = read_image(path)
    except DataError:
        return None
    image.thumbnail((SIDE_PX, SIDE_PX))
    for quality in JPEG_QUALITIES:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        if file.tell() <= PICTURE_BYTES:
            break
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
