"""Examples of two reports on the same test set: where their answers differ most, and where both are right or wrong."""

import heapq
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from tasks.evaluation.report.gallery import score_of_answer, shorten
from tasks.evaluation.tables import AnswerRow, is_scored

# examples of each source and change
MOST = 6
BETTER, WORSE, RIGHT, WRONG, SAME = "B better", "A better", "both right", "both wrong", "same score"
CHANGES = (BETTER, WORSE, RIGHT, WRONG, SAME)
# record and turn
Key = tuple[int, int]


class AnsweredTwice(NamedTuple):
    """One question with the answers of both models; scores are 0 or 1 for questions, else by the headline metric."""

    change: str
    source: str
    task: str
    image: str
    question: str
    references: list[str]
    answers: tuple[str, str]
    scores: tuple[float, float]


def choose_answers(a: Iterable[AnswerRow], b: Iterable[AnswerRow]) -> list[AnsweredTwice]:
    """The six strongest examples of each source and change, one per image first; iterates over all rows twice.

    Only keys and scores are held in memory, not the rows of a million questions.
    """
    of_a = {_key(row): score for row in a if (score := _score(row)) is not None}
    groups: dict[tuple[str, str, str], list[tuple[bool, float, int, Key]]] = defaultdict(list)
    seen: set[tuple[str, str, str, str]] = set()
    for number, row in enumerate(b):
        one, other = of_a.get(_key(row)), _score(row)
        if one is None or other is None:
            continue
        group = row["task"], row["source"], _change(row, one, other)
        # another question about an image that is shown already comes last
        is_new = (*group, row["image"]) not in seen
        seen.add((*group, row["image"]))
        _keep(groups[group], (is_new, abs(other - one), -number, _key(row)))
    chosen = {each[-1] for group in groups.values() for each in group}
    return sorted(_paired(a, b, chosen), key=lambda each: (CHANGES.index(each.change), each.source))


def _keep(best: list[tuple[bool, float, int, Key]], candidate: tuple[bool, float, int, Key]) -> None:
    if len(best) < MOST:
        heapq.heappush(best, candidate)
    else:
        heapq.heappushpop(best, candidate)


def _paired(a: Iterable[AnswerRow], b: Iterable[AnswerRow], chosen: set[Key]) -> Iterable[AnsweredTwice]:
    of_a = {_key(row): row for row in a if _key(row) in chosen}
    for row in b:
        other = of_a.get(_key(row))
        if other is None:
            continue
        scores = _score(other) or 0.0, _score(row) or 0.0
        yield AnsweredTwice(
            _change(row, *scores),
            row["source"],
            row["task"],
            row["image"],
            shorten(row["question"]),
            [shorten(text) for text in dict.fromkeys(row["references"])],
            (shorten(other["answer"]), shorten(row["answer"])),
            scores,
        )


def _change(row: AnswerRow, one: float, other: float) -> str:
    if one != other:
        return BETTER if other > one else WORSE
    if row["task"] != "vqa":
        return SAME
    return RIGHT if one else WRONG


def _score(row: AnswerRow) -> float | None:
    return score_of_answer(row) if is_scored(row) else None


def _key(row: AnswerRow) -> Key:
    return row["record"], row["turn"]
