"""Evaluation as Prefect tasks."""

from pathlib import Path
from typing import Any

from prefect import task

from tasks.evaluation.comparing import compare
from tasks.evaluation.evaluating import EvaluationFiles, evaluate
from tasks.files import write_json
from tasks.paths import FILTERED_TEST_SET, FINAL_ANSWERS, TRAIN_SET
from tasks.records import DatasetRef, FolderRef, PredictionsRef, ReportRef
from tasks.settings import EvaluationConfig
from tasks.steps import step


@step(name="evaluate-answers")
def evaluate_answers(
    dataset: DatasetRef,
    predictions: PredictionsRef,
    base: PredictionsRef | None,
    audit: FolderRef | None,
    config: EvaluationConfig,
    out: Path,
) -> ReportRef:
    """Score a model's answers to a dataset's test set, or to what an audit calls clean of it, into the folder `out`."""
    files = EvaluationFiles(
        data=dataset.path / FILTERED_TEST_SET,
        predictions=predictions.path / FINAL_ANSWERS,
        train=dataset.path / TRAIN_SET,
        audit=audit.path if audit else None,
        base=base.path / FINAL_ANSWERS if base else None,
        images=dataset.images,
    )
    return evaluate(files, out, config)


@task(name="compare-reports")
def compare_reports(base: ReportRef, tuned: ReportRef, out: Path) -> dict[str, Any]:
    """How much better the tuned model is than its base; `out` follows the two reports that stand beside it."""
    result = compare(base.path, tuned.path, None)
    write_json(out, result)
    return result
