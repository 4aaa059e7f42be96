"""Evaluation as Prefect tasks."""

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from prefect import task
from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from tasks.content_keys import SHARED_CODE
from tasks.evaluation.compared_scores import ModelComparison
from tasks.evaluation.comparison import compare
from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
from tasks.evaluation.report.summary import draw_summary, summary_markdown, summary_rows
from tasks.evaluation.report_folder import read_metrics
from tasks.files import write_json
from tasks.orchestration.artifacts import artifact_key, harmless
from tasks.orchestration.caching import step
from tasks.paths import FILTERED_TEST_SET, FINAL_ANSWERS, REPORT_PAGE, TRAIN_SET
from tasks.records import DatasetRef, FolderRef, PredictionsRef, ReportContext, ReportRef
from tasks.settings import EvaluationConfig


@step("evaluate-answers", ignore=["out"], code=SHARED_CODE)
def evaluate_answers(
    dataset: DatasetRef,
    answers: Sequence[PredictionsRef],
    audit: FolderRef | None,
    context: ReportContext,
    config: EvaluationConfig,
    out: Path,
) -> ReportRef:
    """Score a model's answers to a dataset's test set into `out`; the second in `answers` are the base model's."""
    predictions, base = answers[0], answers[1] if len(answers) > 1 else None
    files = EvaluationFiles(
        data=dataset.path / FILTERED_TEST_SET,
        predictions=predictions.path / FINAL_ANSWERS,
        train=dataset.path / TRAIN_SET,
        audit=audit.path if audit else None,
        base=base.path / FINAL_ANSWERS if base else None,
        images=dataset.images,
        checkpoints=tuple(report.path for report in context.checkpoints),
        unnamed=dataset.unnamed_source,
        robustness=tuple(report.path for report in context.robustness),
        run=context.run,
        training=context.training,
    )
    return evaluate(files, out, config)


def show_report(report: ReportRef, run: str) -> None:
    """Show a report's scores on Prefect's pages: as a table, in words, as a picture, and with a link to the report."""
    metrics = read_metrics(report.path)
    about = f"{report.model} of {run}"
    picture = b64encode(draw_summary(report.model, metrics).encode()).decode()
    with harmless():
        create_table_artifact(
            summary_rows(metrics), key=artifact_key("scores", run, report.model), description=f"Scores of {about}"
        )
        create_markdown_artifact(
            summary_markdown(about, metrics),
            key=artifact_key("verdict", run, report.model),
            description=f"Verdict on {about}",
        )
        create_image_artifact(
            f"data:image/svg+xml;base64,{picture}",
            key=artifact_key("gain", run, report.model),
            description=f"Scores of {about} next to image-blind baselines",
        )
        page = (report.path / REPORT_PAGE).resolve()
        create_link_artifact(
            page.as_uri(),
            link_text=f"report of {about}",
            key=artifact_key("report", run, report.model),
            # a browser does not open a file from the page of a server
            description=f"Report of {about}, a file on the worker: {page}",
        )


def show_result(report: ReportRef, run: str) -> None:
    """Show an experiment's verdict and the path of its report on the page of the experiment's own flow run."""
    verdict = summary_markdown(f"{report.model} of {run}", read_metrics(report.path))
    with harmless():
        create_markdown_artifact(
            f"{verdict}\n\nThe report: `{(report.path / REPORT_PAGE).resolve()}`",
            key=artifact_key("result", run),
            description=f"Result of {run}",
        )


@task(name="compare-reports")
def compare_reports(base: ReportRef, tuned: ReportRef, out: Path) -> ModelComparison:
    """Compare the tuned model with its base and write the comparison to `out`, over an earlier one."""
    result = compare(base.path, tuned.path, None)
    write_json(out, result)
    return result
