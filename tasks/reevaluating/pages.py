"""A run's scores as table rows, as a picture and as files: its history, and its checkpoints' scores by step."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from tasks.evaluation.headline import HeadlineChange
from tasks.evaluation.objective import Reference, objective_of, reference_of
from tasks.evaluation.report.charts import HEIGHT, WIDTH, CurvePoint, draw_curve
from tasks.files import write_json_lines, write_text
from tasks.paths import checkpoint_label
from tasks.reevaluating.history import CHECKPOINT_SCORES, FIRST, HISTORY, NOT_COMPARABLE, NOT_COMPARED, Evaluation

TITLES = {HISTORY: "History of the scores", CHECKPOINT_SCORES: "Scores of the checkpoints"}
# heights in pixels: of a title, and of a line of alarms below it
HEADING, NOTES_LINE = 30, 20
# the last alarms are shown
MOST_NOTES = 2
IN_WORDS = {
    "previous": "lower than the previous report",
    "first": "lower than the first report",
    "drift": "drifting down",
}
NEW = "new baseline"
# why there is no change, by verdict
NO_CHANGE = {
    FIRST: FIRST,
    NOT_COMPARABLE: f"{NEW}: the protocol or the test set has changed",
    NOT_COMPARED: "not compared: no earlier report could be read",
}
Cell = str | float | None
STYLE = (
    "svg{background:#fff}text{font:12.5px system-ui,sans-serif;fill:#1d2420}.value{fill:#5d6a63}"
    ".title{font-weight:600;font-size:14px}.model{fill:#1f7a55}.rule{stroke:#dfe4e0}.band{fill:#1f7a55;opacity:.16}"
    ".alarm{fill:#a3301c}.curve{fill:none;stroke:#1f7a55;stroke-width:2}"
)


def write_scores(folder: Path, name: str, scores: Sequence[Evaluation], picture: str) -> None:
    """Write evaluations to a folder as NAME.jsonl and their picture as NAME.svg."""
    write_json_lines(folder / f"{name}.jsonl", [each.model_dump(mode="json") for each in scores])
    write_text(folder / f"{name}.svg", picture)


def objectives(evaluations: Sequence[Evaluation]) -> list[float | None]:
    """The objective of each evaluation, over all its sources; 0 is the first evaluation under the same protocol.

    None if that one has no interval or other sources.
    """
    first: dict[str, Reference] = {}
    for each in sorted(evaluations, key=lambda each: each.number):
        first.setdefault(each.protocol, reference_of(each.scores))
    return [_objective(each, first[each.protocol]) for each in evaluations]


def _objective(evaluation: Evaluation, reference: Reference) -> float | None:
    if not reference.sources or not reference.sources.keys() <= evaluation.scores.keys():
        return None
    return objective_of({source: found["value"] for source, found in evaluation.scores.items()}, reference)


def history_rows(history: Sequence[Evaluation]) -> list[dict[str, Cell]]:
    """A row for each evaluation and source, newest first."""
    models = dict.fromkeys(each.model for each in history)
    by_model = [[each for each in history if each.model == model] for model in models]
    overall = {each.number: value for own in by_model for each, value in zip(own, objectives(own), strict=True)}
    return [
        {
            "number": each.number,
            "time": each.time,
            "model": each.model,
            "step": each.step,
            "source": source,
            "score": found["metric"],
            "value": round(found["value"], 4),
            "95 %": " to ".join(f"{bound:.3f}" for bound in found["ci95"] or ()),
            "compared with the last": _compared(each, each.changes.get(source)),
            "compared with the first": _compared(each, each.since_first.get(source)),
            "alarm": _in_words(each.alarms.get(source)),
            "objective": _rounded(overall[each.number]),
        }
        for each in reversed(history)
        for source, found in each.scores.items()
    ]


def _compared(evaluation: Evaluation, change: HeadlineChange | None) -> str:
    """The verdict on a change, its size and its 95 % interval; without a change the reason for that, where known."""
    if change is None:
        return NO_CHANGE.get(evaluation.verdict, "")
    low_high = change["ci95"]
    interval = f" ({low_high[0]:+.3f} to {low_high[1]:+.3f})" if low_high else ""
    return f"{change['verdict']}: {change['difference']:+.4f}{interval}"


def _in_words(alarm: str | None) -> str:
    return IN_WORDS.get(alarm, alarm) if alarm else ""


def draw_history(history: Sequence[Evaluation]) -> str:
    """An SVG file: the scores of each model and source by the number of the evaluation."""
    models = dict.fromkeys(each.model for each in history)
    of_model = {model: [(str(each.number), each) for each in history if each.model == model] for model in models}
    return _stacked(curve for model, labelled in of_model.items() for curve in _curves(f"{model}: ", labelled))


def checkpoint_scores(history: Sequence[Evaluation]) -> list[Evaluation]:
    """The last score of each checkpoint by step; only those under the protocol of the newest, on the same images."""
    last = {each.model: each for each in history if each.protocol == history[-1].protocol}
    return sorted(last.values(), key=lambda each: (each.step or 0, each.model))


def checkpoint_rows(scores: Sequence[Evaluation]) -> list[dict[str, Cell]]:
    """A row for each checkpoint, with a column for each source and the objective, by which the best is marked."""
    found = objectives(scores)
    best = max((value for value in found if value is not None), default=None)
    return [
        {
            "checkpoint": _label(each),
            **{f"{source} {found['metric']}": round(found["value"], 4) for source, found in each.scores.items()},
            "objective": _rounded(value),
            "": "best" if value is not None and value == best else "",
        }
        for each, value in zip(scores, found, strict=True)
    ]


def _rounded(value: float | None) -> Cell:
    return None if value is None else round(value, 2)


def draw_checkpoints(scores: Sequence[Evaluation]) -> str:
    """An SVG file: for each source the scores of the checkpoints by step."""
    return _stacked(_curves("", [(_label(each), each) for each in scores]))


def _label(scored: Evaluation) -> str:
    """The step, followed by a number where it was trained more than once."""
    return checkpoint_label(scored.model)


class _Curve(NamedTuple):
    title: str
    points: list[CurvePoint]
    # alarms in words
    note: str


def _curves(prefix: str, labelled: Sequence[tuple[str, Evaluation]]) -> list[_Curve]:
    """A curve for each source of the last evaluation."""
    return [
        _Curve(
            f"{prefix}{source} {found['metric']}",
            [
                CurvePoint(label, each.scores[source]["value"], each.scores[source]["ci95"])
                for label, each in labelled
                if source in each.scores
            ],
            _alarms_of(source, labelled),
        )
        for source, found in labelled[-1][1].scores.items()
    ]


def _alarms_of(source: str, labelled: Sequence[tuple[str, Evaluation]]) -> str:
    """The last alarms of a source by evaluation, and its changes of protocol."""
    notes = [
        f"{label}: {note}"
        for label, each in labelled
        if (note := _in_words(each.alarms.get(source)) or (NEW if each.verdict == NOT_COMPARABLE else ""))
    ]
    return "; ".join((["..."] if len(notes) > MOST_NOTES else []) + notes[-MOST_NOTES:])


def _stacked(curves: Iterable[_Curve]) -> str:
    """An SVG file with curves one under the other, each under its title and its alarms."""
    parts, top = [], 0
    for title, points, note in curves:
        parts.append(f'<text class="title" x="14" y="{top + 20}">{escape(title)}</text>')
        top += HEADING
        if note:
            parts.append(f'<text class="alarm" x="14" y="{top + 8}">{escape(note)}</text>')
            top += NOTES_LINE
        curve = draw_curve(title, points, None)
        parts.append(f'<svg y="{top}" width="{WIDTH}" height="{HEIGHT}">{curve}</svg>')
        top += HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}">'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>\n"
    )
