"""The progress of a sweep in progress.json: each point with its state, for those who watch the sweep."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationError

from tasks.evaluation.headline import HeadlineScore
from tasks.files import read_json_object, write_json
from tasks.paths import SWEEP_PROGRESS
from tasks.records import Value
from tasks.sweeping.config import Choice, Objective
from tasks.sweeping.leaderboard import LeaderboardRow
from tasks.sweeping.study import REASON, RUN, Points

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

State = Literal["running", "scored", "stopped early", "failed"]


class PointProgress(Value):
    """One point; `number` counts from 1, `score` and what follows it are there once it is scored."""

    number: int
    run: str | None
    settings: dict[str, Choice]
    state: State
    score: float | None = None
    sources: dict[str, HeadlineScore] = Field(default_factory=dict)
    verdict: str | None = None
    reason: str | None = None


class SweepProgress(Value):
    """The points that were begun, out of `total`; `testing` is the run of the best one while the test set is used."""

    total: int
    objective: Objective
    points: list[PointProgress]
    testing: str | None = None

    @property
    def running(self) -> str | None:
        """The run that is worked on; None between two points and at the end."""
        return self.testing or next((point.run for point in self.points if point.state == "running"), None)

    @property
    def scored(self) -> list[PointProgress]:
        """The points with a score, the best first; of equal scores the earlier is first."""
        return sorted((each for each in self.points if each.score is not None), key=lambda each: -(each.score or 0.0))


def write_progress(
    points: Points, objective: Objective, rows: Sequence[LeaderboardRow], testing: str | None = None
) -> None:
    """Write progress.json in the sweep's folder; `rows` is the leaderboard so far, best first."""
    of_run = {row.run: row for row in rows}
    found = [_point(trial, of_run) for trial in points.begun()]
    progress = SweepProgress(total=points.total, objective=objective, points=found, testing=testing)
    write_json(points.folder / SWEEP_PROGRESS, progress.model_dump(mode="json"))


def read_progress(folder: Path) -> SweepProgress | None:
    """The progress of the sweep in a folder; None if none was begun there, or if the file is damaged.

    The sweep itself does not read it, and writes a new one at its next point.
    """
    try:
        return SweepProgress.model_validate(read_json_object(folder / SWEEP_PROGRESS))
    except ValidationError:
        return None


def _point(trial: "FrozenTrial", rows: dict[str, LeaderboardRow]) -> PointProgress:
    from optuna.trial import TrialState

    states: dict[TrialState, State] = {
        TrialState.COMPLETE: "scored",
        TrialState.PRUNED: "stopped early",
        TrialState.FAIL: "failed",
    }
    run = trial.user_attrs.get(RUN)
    state = states.get(trial.state, "running")
    row = rows.get(run) if state == "scored" and run else None
    return PointProgress(
        number=trial.number + 1,
        run=run,
        settings=trial.params,
        state=state,
        score=trial.value if state == "scored" else None,
        sources=row.sources if row else {},
        verdict=row.verdict if row else None,
        reason=trial.user_attrs.get(REASON),
    )
