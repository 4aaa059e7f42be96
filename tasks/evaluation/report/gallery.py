"""The report's gallery: best, typical and worst examples of each source, with image, references and answers."""

import base64
import io
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from tasks.errors import DataError
from tasks.evaluation.metrics.registry import HEADLINE, METRICS_BY_TASK
from tasks.evaluation.tables import AnswerRow, is_scored, row_score
from tasks.image_paths import image_file
from tasks.model.images import read_image

SIDE_PX = 240
# tried in order until an image is small enough: 300 of them stay below 10 MB, even of noise
JPEG_QUALITIES = (72, 50, 30)
IMAGE_BYTES = 20_000
MOST_QUESTIONS, MOST_WRONG = 8, 5
MOST_CHARACTERS = 400

# columns of the scores of captions and boxes
RANKED_BY = {task: METRICS_BY_TASK[task][HEADLINE[task]].column for task in HEADLINE}

Example = dict[str, object]
# index of a record, and task: a record may have captions and questions
RecordTask = tuple[int, str]


class RecordScore(NamedTuple):
    """The mean score of a model's answers to one record and task; None for a caption without CIDEr."""

    image: str
    key: RecordTask
    score: float | None


def choose_examples(
    rows: Iterable[AnswerRow], base: Iterable[AnswerRow] | None, images: Path | None, count: int
) -> list[Example]:
    """Choose `count` examples, shared equally over the sources: for each a third best, typical and worst.

    Captions are ranked by CIDEr, VQA images by their share of right answers. Iterates over the rows twice.
    """
    sources = _record_scores(rows)
    chosen: dict[RecordTask, tuple[str, float | None]] = {}
    for scores, share in zip(sources, equal_shares([len(each) for each in sources], count), strict=True):
        ranked = sorted(scores, key=lambda one: (-(one.score or 0.0), one.image))
        chosen |= {ranked[index].key: (rank, ranked[index].score) for rank, index in ranked_indices(len(ranked), share)}
    shown, of_base = (_by_record(found or (), chosen) for found in (rows, base))
    return [
        _example(rank, score, [row for row in shown[key] if is_scored(row)], of_base[key], images)
        for key, (rank, score) in chosen.items()
    ]


def score_of_answer(row: AnswerRow) -> float | None:
    """The score of one answer by which examples are ranked: 0 or 1 for a question, CIDEr for a caption, or overlap."""
    score = row["right"] if row["task"] == "vqa" else row_score(row, RANKED_BY[row["task"]])
    return None if score is None else float(score)


def _record_scores(rows: Iterable[AnswerRow]) -> list[list[RecordScore]]:
    """By source, the scores of its records."""
    groups: dict[tuple[str, str], dict[tuple[str, RecordTask], list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if is_scored(row):
            score = score_of_answer(row)
            known = groups[row["task"], row["source"]][row["image"], (row["record"], row["task"])]
            known += [] if score is None else [score]
    return [
        [RecordScore(image, key, mean(scores) if scores else None) for (image, key), scores in by_record.items()]
        for _, by_record in sorted(groups.items())
    ]


def _by_record(rows: Iterable[AnswerRow], keys: Container[RecordTask]) -> dict[RecordTask, list[AnswerRow]]:
    found: dict[RecordTask, list[AnswerRow]] = defaultdict(list)
    for row in rows:
        if (row["record"], row["task"]) in keys:
            found[row["record"], row["task"]].append(row)
    return found


def equal_shares(sizes: Sequence[int], count: int) -> list[int]:
    """Distribute `count` equally over sources of these sizes; the rest of a small source goes to the others."""
    shares = [0] * len(sizes)
    smallest_first = sorted(range(len(sizes)), key=lambda source: sizes[source])
    for rank, source in enumerate(smallest_first):
        shares[source] = min(sizes[source], (count - sum(shares)) // (len(sizes) - rank))
    return shares


def ranked_indices(length: int, count: int) -> list[tuple[str, int]]:
    """Indices into a list from best to worst: the first, the middle and the last, a third of `count` each."""
    count = min(length, count)
    best, worst = (count + 2) // 3, (count + 1) // 3
    typical = count - best - worst
    middle = best + (length - best - worst - typical) // 2
    return (
        [("best", index) for index in range(best)]
        + [("typical", index) for index in range(middle, middle + typical)]
        + [("worst", index) for index in range(length - worst, length)]
    )


def _example(
    rank: str, score: float | None, group: Sequence[AnswerRow], base: Sequence[AnswerRow], images: Path | None
) -> Example:
    first, of_base = group[0], {row["turn"]: row for row in base}
    return {
        "rank": rank,
        "task": first["task"],
        "source": first["source"],
        "image": first["image"],
        "picture": _data_uri(image_file(images, first["image"])) if images else None,
        "score": score,
        "asked": len(group),
        "right": sum(bool(row["right"]) for row in group),
        "turns": [_turn(row, of_base.get(row["turn"])) for row in _shown(group, of_base)],
    }


def _shown(group: Sequence[AnswerRow], base: Mapping[int, AnswerRow]) -> list[AnswerRow]:
    """A few turns, with wrong and right answers where there are both; first those that the training changed."""
    changed_first = sorted(group, key=lambda row: row["turn"] in base and base[row["turn"]]["right"] == row["right"])
    wrong = [row for row in changed_first if not row["right"]]
    right = [row for row in changed_first if row["right"]]
    kept = [*wrong[:MOST_WRONG], *right, *wrong[MOST_WRONG:]][:MOST_QUESTIONS]
    return sorted(kept, key=lambda row: (bool(row["right"]), row["turn"]))


def _turn(row: AnswerRow, base: AnswerRow | None) -> dict[str, object]:
    return {
        "question": shorten(row["question"]),
        "references": [shorten(text) for text in dict.fromkeys(row["references"])],
        "answer": shorten(row["answer"]),
        "type": row["type"],
        "right": row["right"],
        "no_answer": row["no_answer"],
        "states": " ".join(_states(row, base)),
        "base": base and {"answer": shorten(base["answer"]), "right": base["right"], "score": score_of_answer(base)},
    }


def _states(row: AnswerRow, base: AnswerRow | None) -> list[str]:
    """The states by which a turn is filtered: right or wrong, invalid, better or worse than the base model's."""
    states = [] if row["right"] is None else ["right" if row["right"] else "wrong"]
    states += ["invalid"] if row["no_answer"] else []
    own, of_base = score_of_answer(row), score_of_answer(base) if base else None
    if own is None or of_base is None or own == of_base:
        return states
    return [*states, "better" if own > of_base else "worse"]


def shorten(text: str) -> str:
    """The text; of a long one the first 400 characters and its length."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} ... ({len(text):,} characters)"


def _data_uri(path: Path) -> str | None:
    """The image as a small JPEG in a data URI; None if it is missing or not readable, which the page reports."""
    try:
        image = read_image(path)
    except DataError:
        return None
    image.thumbnail((SIDE_PX, SIDE_PX))
    for quality in JPEG_QUALITIES:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        if file.tell() <= IMAGE_BYTES:
            break
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
