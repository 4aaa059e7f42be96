"""The leaderboard of a sweep: scores on the validation set, and the points that are worse than the best."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError
from typing_extensions import TypedDict

from tasks.errors import UserError
from tasks.evaluation.comparison import require_same_protocol
from tasks.evaluation.gains import SIGNIFICANT
from tasks.evaluation.headline import HeadlineScore, headline_scores
from tasks.evaluation.metrics.registry import HEADLINE
from tasks.evaluation.objective import (
    SEED,
    Reference,
    objective_of,
    p_values_to_best,
    plain_mean,
    reference_of,
    values_of_points,
)
from tasks.evaluation.report_folder import read_metrics, read_report
from tasks.evaluation.tables import AnswerRow
from tasks.evaluation.uncertainty.moments import Floats
from tasks.evaluation.uncertainty.selection import chosen_by_objective
from tasks.files import read_json, write_json
from tasks.paths import OBJECTIVE
from tasks.prompt_text import Task
from tasks.records import Value
from tasks.sweeping.config import Choice, Objective

# the tasks whose headline scores make an objective
TASKS: dict[str, tuple[Task, ...]] = {
    "score": tuple(HEADLINE),
    **{metric: (task,) for task, metric in HEADLINE.items()},
}
BEST, TIE, WORSE = "best", "tie", "worse"


class ScoredPoint(Value):
    """A point that has a score, and the folder of its report on the validation set."""

    run: str
    settings: dict[str, Choice]
    score: float
    report: Path


class Gap(TypedDict):
    """A source's headline score of the best (a) and of a point (b), and their difference b - a."""

    metric: str
    a: float
    b: float
    difference: float


class LeaderboardRow(Value):
    """One row of the leaderboard.

    `p_value` is that of the gap to the best objective, adjusted over all points; it alone decides the verdict: best,
    tie or worse. `against_best` has the gap by source, without a verdict.
    """

    run: str
    settings: dict[str, Choice]
    score: float
    sources: dict[str, HeadlineScore]
    p_value: float
    verdict: str
    against_best: dict[str, Gap]


class Chosen(Value):
    """The best of several points: its objective and scores, each also corrected for having been chosen among them."""

    run: str
    points: int
    score: float
    corrected: float
    sources: dict[str, HeadlineScore]
    corrected_sources: dict[str, float]


class Leaderboard(Value):
    """The rows of a sweep by falling score, its best point, and the objective's scale (None: the scores' mean)."""

    rows: list[LeaderboardRow]
    chosen: Chosen
    reference: Reference | None


def scores_of(report: Path, objective: Objective) -> dict[str, HeadlineScore]:
    """The headline scores that make an objective; raises UserError if there are none."""
    found = headline_scores(read_metrics(report), TASKS[objective])
    if not found:
        raise UserError(f"The validation set has nothing to score by {objective}: choose another objective.")
    return found


def score_of(report: Path, objective: Objective, reference: Reference | None) -> float:
    """The objective of a report in units of the reference; without one, the mean of its headline scores."""
    found = scores_of(report, objective)
    scale = reference or plain_mean(found)
    if lacking := sorted(set(scale.sources) - set(found)):
        raise UserError(f"The report {report} has no score of {', '.join(lacking)}, which the first point had.")
    return objective_of(_plain(found), scale)


def read_reference(folder: Path) -> Reference | None:
    """The reference of a sweep; None if its objective is the mean of the scores.

    So it is with a single source, whose score needs no scale, where no source has an interval, and in sweeps that were
    started before there was a reference. Raises UserError for a damaged one.
    """
    path = folder / OBJECTIVE
    if not path.exists():
        return None
    try:
        found = Reference.model_validate(read_json(path))
    except ValidationError:
        found = Reference(sources={})
    if not found.sources:
        raise UserError(f"{path} is damaged: start the sweep under another name, or put that file back.")
    return found


def claim_reference(folder: Path, report: Path, objective: Objective) -> None:
    """Make the first scored point the reference of a sweep of several sources; one that exists is kept."""
    found = scores_of(report, objective)
    reference = reference_of(found)
    if len(found) > 1 and reference.sources and not (folder / OBJECTIVE).exists():
        write_json(folder / OBJECTIVE, reference.model_dump(mode="json"))


def rank(points: Sequence[ScoredPoint], objective: Objective, reference: Reference | None = None) -> Leaderboard:
    """The points by falling score, each once; of equal scores the earlier is first.

    All points are on one validation set: only images with a score in every point are compared. Raises UserError for
    reports on different ones.
    """
    ordered = sorted({point.run: point for point in points}.values(), key=lambda point: -point.score)
    sources = [scores_of(point.report, objective) for point in ordered]
    scale = reference or plain_mean(sources[0])
    scores = [_plain(found) for found in sources]
    values = values_of_points(_answers_of(ordered), scores, scale)
    p_values = p_values_to_best(values, scale) or [1.0] * len(ordered)
    rows = [
        LeaderboardRow(
            run=point.run,
            settings=point.settings,
            score=point.score,
            sources=found,
            p_value=p_value,
            verdict=_verdict(number, p_value),
            against_best=_gaps(sources[0], found) if number else {},
        )
        for number, (point, found, p_value) in enumerate(zip(ordered, sources, p_values, strict=True))
    ]
    return Leaderboard(rows=rows, chosen=_chosen(rows, values, scale), reference=reference)


def _answers_of(points: Sequence[ScoredPoint]) -> Iterator[Iterable[AnswerRow]]:
    """The answers of each point, read one after another: those of hundreds of points do not fit in memory."""
    first = read_report(points[0].report)
    for point in points:
        report = read_report(point.report)
        require_same_protocol(first, report)
        yield report.rows


def _plain(found: dict[str, HeadlineScore]) -> dict[str, float]:
    return {source: each["value"] for source, each in found.items()}


def _verdict(number: int, p_value: float) -> str:
    return BEST if number == 0 else WORSE if p_value < SIGNIFICANT else TIE


def _gaps(best: dict[str, HeadlineScore], found: dict[str, HeadlineScore]) -> dict[str, Gap]:
    return {
        source: {"metric": each["metric"], "a": a, "b": each["value"], "difference": each["value"] - a}
        for source, each in found.items()
        if source in best
        for a in [best[source]["value"]]
    }


def _chosen(rows: Sequence[LeaderboardRow], values: dict[str, Floats], scale: Reference) -> Chosen:
    """The best point; a source that not all points share keeps its plain score."""
    best = rows[0]
    corrected = _plain(best.sources)
    if set(values) == set(scale.sources):
        found = chosen_by_objective(values, scale.errors, SEED)
        corrected |= {source: each.corrected for source, each in found.items()}
    return Chosen(
        run=best.run,
        points=len(rows),
        score=best.score,
        corrected=objective_of(corrected, scale),
        sources=best.sources,
        corrected_sources={source: corrected[source] for source in scale.sources},
    )
