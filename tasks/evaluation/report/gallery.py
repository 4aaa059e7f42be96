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

# longest side in pixels and JPEG quality, tried in order until an image is small enough
SIZES = ((768, 82), (512, 80), (384, 75), (240, 72), (240, 50), (240, 30))
# all images of a page together stay below 10 MB in base64, even 300 of noise
IMAGE_BYTES, ALL_IMAGES_BYTES = 100_000, 6_000_000
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
    pictures = _Pictures(images, min(IMAGE_BYTES, ALL_IMAGES_BYTES // (len(chosen) or 1)))
    return [
        _example(rank, score, [row for row in shown[key] if is_scored(row)], of_base[key], pictures)
        for key, (rank, score) in chosen.items()
    ]


def one_per_source(examples: Sequence[Example]) -> list[Example]:
    """The first typical example of each source; the first of any rank where there is none."""
    found: dict[object, Example] = {}
    for example in sorted(examples, key=lambda one: one["rank"] != "typical"):
        found.setdefault((example["task"], example["source"]), example)
    # in the order of the gallery
    return [example for example in examples if any(example is one for one in found.values())]


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
    rank: str, score: float | None, group: Sequence[AnswerRow], base: Sequence[AnswerRow], pictures: "_Pictures"
) -> Example:
    first, of_base = group[0], {row["turn"]: row for row in base}
    return {
        "rank": rank,
        "task": first["task"],
        "source": first["source"],
        "image": first["image"],
        "picture": pictures.data_uri(first["image"]),
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


class _Pictures(NamedTuple):
    """The folder of the images, and the bytes that each may take on the page."""

    images: Path | None
    most_bytes: int

    def data_uri(self, name: str) -> str | None:
        """An image as a JPEG in a data URI; None if it is missing or not readable, which the page reports."""
        if self.images is None:
            return None
        try:
            image = read_image(image_file(self.images, name))
        except DataError:
            return None
        for side, quality in SIZES:
            image.thumbnail((side, side))
            file = io.BytesIO()
            image.save(file, "JPEG", quality=quality)
            if file.tell() <= self.most_bytes:
                break
        return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
