"""Scores, answers, comparisons and runs as pandas DataFrames."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tasks.evaluation.compared_scores import ModelComparison, compared_sources, differences_by_metric
from tasks.evaluation.data_frames import table_of
from tasks.evaluation.metrics.registry import METRICS_BY_TASK
from tasks.runs.index import RunSummary
from tasks.runs.scores import RunScore

if TYPE_CHECKING:
    from pandas import DataFrame

MEGABYTE = 1e6


def scores_table(scores: Mapping[str, RunScore]) -> "DataFrame":
    """One row per source: the headline score, its 95 % interval, the base model's and the best image-blind score.

    `against_base` is better, worse or a tie; `beats_blind` says whether the gain over image-blind baselines is shown.
    """
    rows = [
        {
            "source": source,
            "metric": score.metric,
            "score": score.value,
            "low": score.ci95[0] if score.ci95 else None,
            "high": score.ci95[1] if score.ci95 else None,
            "base": score.base,
            "against_base": score.verdict,
            "blind": score.blind,
            "beats_blind": score.sees,
        }
        for source, score in scores.items()
    ]
    columns = ("source", "metric", "score", "low", "high", "base", "against_base", "blind", "beats_blind")
    return table_of(rows, columns).set_index("source")


def comparison_table(compared: Iterable[ModelComparison], labels: Sequence[str]) -> "DataFrame":
    """One row per model, source and metric: the scores of the first model (a) and this one (b), and the verdict on b.

    `labels` are the names of the models that are compared with the first.
    """
    rows = [row for label, each in zip(labels, compared, strict=True) for row in _differences(label, each)]
    return table_of(rows).set_index(["model", "source", "metric"])


def _differences(label: str, comparison: ModelComparison) -> Iterator[dict[str, object]]:
    for task in METRICS_BY_TASK:
        for source, compared in compared_sources(comparison, task).items():
            for metric, found in differences_by_metric(compared).items():
                low, high = found["ci95"] or (None, None)
                numbers = {"a": found["a"], "b": found["b"], "difference": found["difference"]}
                p_value = found.get("p_adjusted", found["p_value"])
                verdict = {"low": low, "high": high, "p": p_value, "verdict": found["verdict"]}
                yield {"model": label, "source": source, "metric": metric, **numbers, **verdict}


def runs_table(runs: Iterable[RunSummary]) -> "DataFrame":
    """One row per run, with a column for the headline score of each source."""
    rows = [
        {
            "run": run.name,
            "state": run.state,
            "started": run.started,
            "data": run.data,
            "base": run.base,
            **{source: score.value for source, score in run.scores.items()},
            "verdict": run.verdict,
            "size_mb": round(run.size_bytes / MEGABYTE, 1),
            "folder": str(run.folder),
        }
        for run in runs
    ]
    return table_of(rows, ("run", "state", "started", "data", "base")).set_index("run")
