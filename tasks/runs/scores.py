"""The headline scores of a run's final model, next to its base model and to image-blind baselines."""

from collections.abc import Mapping
from typing import cast

from tasks.evaluation.compared_scores import ModelComparison
from tasks.evaluation.headline import HeadlineChange, headline_changes, headline_name, headline_scores
from tasks.evaluation.metrics.registry import HEADLINE
from tasks.evaluation.scores import Gain, Metrics, of_task
from tasks.files import read_json_object
from tasks.paths import FINAL, METRICS, RunFolder
from tasks.records import Value

# what damaged or foreign JSON raises where a score is looked up, and files that only their owner may read
DAMAGED = (AttributeError, KeyError, TypeError, ValueError, OSError)
NO_CHANGES: Mapping[str, HeadlineChange] = {}


class RunScore(Value):
    """The score of one source by its headline metric; `ci95` is its 95 % interval.

    `base` is the base model's score and `verdict` says whether the final model is better, worse or a tie; `blind` is
    the best image-blind baseline and `sees` says whether the gain over it is shown. Each is None if it is not known.
    """

    metric: str
    value: float
    ci95: tuple[float, float] | None
    base: float | None = None
    verdict: str | None = None
    blind: float | None = None
    sees: bool | None = None


def read_scores(paths: RunFolder, model: str = FINAL) -> dict[str, RunScore]:
    """The scores of a model's report by source; empty if there is no report or it is damaged."""
    try:
        # metrics.json is written last but for the manifest, and atomically
        metrics = cast(Metrics, read_json_object(paths.report(model) / METRICS))
        return scores_of(metrics, changes_from_base(paths) if model == FINAL else {})
    except DAMAGED:
        return {}


def scores_of(metrics: Metrics, changes: Mapping[str, HeadlineChange] = NO_CHANGES) -> dict[str, RunScore]:
    """The scores in a metrics.json by source; `changes` are those from the base model, if they are known."""
    found, gains = headline_scores(metrics), _gains(metrics)
    return {
        source: _score(score["metric"], score["value"], score["ci95"], changes.get(source), gains.get(source))
        for source, score in found.items()
    }


def _score(
    metric: str, value: float, ci95: list[float] | None, change: HeadlineChange | None, gain: Gain | None
) -> RunScore:
    return RunScore(
        metric=metric,
        value=value,
        ci95=(ci95[0], ci95[1]) if ci95 else None,
        base=change["a"] if change else None,
        verdict=change["verdict"] if change else None,
        blind=value - gain["value"] if gain else None,
        sees=gain["shown"] if gain else None,
    )


def changes_from_base(paths: RunFolder) -> Mapping[str, HeadlineChange]:
    """How the final model differs from its base, by source."""
    try:
        return headline_changes(cast(ModelComparison, read_json_object(paths.comparison)))
    except DAMAGED:
        return {}


def _gains(metrics: Metrics) -> dict[str, Gain | None]:
    """The gain of each source over image-blind baselines, by headline_name."""
    by_task = {task: of_task(metrics, task) for task in HEADLINE}
    return {
        headline_name(source, task, by_task): scores.get("gain")
        for task in HEADLINE
        for source, scores in by_task[task].items()
    }


def verdict_of_scores(scores: Mapping[str, RunScore]) -> str | None:
    """The verdict in words: on how many sources the model is better than its base and than image-blind baselines.

    None if nothing was compared.
    """
    compared = [score.verdict for score in scores.values() if score.verdict]
    if not compared:
        return None
    better, worse = compared.count("better"), compared.count("worse")
    words = f"better than base on {better} of {len(compared)} source{'s' if len(compared) > 1 else ''}"
    words += f", worse on {worse}" if worse else ""
    known = [score.sees for score in scores.values() if score.sees is not None]
    return f"{words}; better than image-blind baselines on {sum(known)} of {len(known)}" if known else words
