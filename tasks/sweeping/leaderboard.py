"""The leaderboard of a sweep: scores on the validation set with intervals, and ties with the best by a paired test."""

from collections.abc import Sequence
from pathlib import Path

from tasks.errors import UserError
from tasks.evaluation.comparison import compare_several
from tasks.evaluation.headline import HeadlineChange, HeadlineScore, headline_changes, headline_scores
from tasks.evaluation.metrics.registry import HEADLINE
from tasks.evaluation.report_folder import read_metrics
from tasks.prompt_text import Task
from tasks.records import Value
from tasks.sweeping.config import Choice, Objective

# the tasks whose headline scores make an objective
TASKS: dict[str, tuple[Task, ...]] = {
    "score": tuple(HEADLINE),
    **{metric: (task,) for task, metric in HEADLINE.items()},
}
BEST, TIE, MIXED = "best", "tie", "mixed"


class ScoredPoint(Value):
    """A point that has a score, and the folder of its report on the validation set."""

    run: str
    settings: dict[str, Choice]
    score: float
    report: Path


class LeaderboardRow(Value):
    """One row of the leaderboard; `against_best` has by source the comparison with the best: point - best."""

    run: str
    settings: dict[str, Choice]
    score: float
    sources: dict[str, HeadlineScore]
    verdict: str
    against_best: dict[str, HeadlineChange]


def score_of(report: Path, objective: Objective) -> float:
    """The mean of the sources' headline scores; raises UserError if there are none."""
    values = [source["value"] for source in headline_scores(read_metrics(report), TASKS[objective]).values()]
    if not values:
        raise UserError(f"The validation set has nothing to score by {objective}: choose another objective.")
    return sum(values) / len(values)


def rank(points: Sequence[ScoredPoint], objective: Objective) -> list[LeaderboardRow]:
    """The points by falling score, each once, compared with the first image by image.

    A point is a tie with the best where the paired test finds no difference in any source's headline metric; the
    p-values of all points are adjusted by Holm's correction.
    """
    ordered = sorted({point.run: point for point in points}.values(), key=lambda point: -point.score)
    best, others = ordered[0], ordered[1:]
    compared = compare_several(best.report, [point.report for point in others], None)["comparisons"] if others else []
    against = [{}, *(headline_changes(each, TASKS[objective]) for each in compared)]
    return [
        LeaderboardRow(
            run=point.run,
            settings=point.settings,
            score=point.score,
            sources=headline_scores(read_metrics(point.report), TASKS[objective]),
            verdict=overall_verdict([one["verdict"] for one in found.values()]) if number else BEST,
            against_best=found,
        )
        for number, (point, found) in enumerate(zip(ordered, against, strict=True))
    ]


def overall_verdict(verdicts: Sequence[str]) -> str:
    """One verdict for all sources: tie where none differs, mixed where they contradict each other."""
    found = set(verdicts) - {TIE}
    if not found:
        return TIE
    return MIXED if len(found) > 1 else found.pop()
