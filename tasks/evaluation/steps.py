"""Evaluation as Prefect tasks."""

from collections.abc import Sequence
from pathlib import Path

from prefect import task

from tasks.content_keys import SHARED_CODE
from tasks.evaluation.compared_scores import ModelComparison
from tasks.evaluation.comparison import compare
from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
from tasks.evaluation.report.summary import draw_summary, summary_markdown, summary_rows
from tasks.evaluation.report_folder import read_metrics
from tasks.files import write_json
from tasks.orchestration.artifacts import artifact_key, on_own_page, show_markdown, show_page, show_picture, show_table
from tasks.orchestration.caching import step
from tasks.paths import FILTERED_TEST_SET, FINAL_ANSWERS, REPORT_PAGE, TRAIN_SET
from tasks.records import DatasetRef, FolderRef, PredictionsRef, ReportContext, ReportRef
from tasks.settings import EvaluationConfig


@step("evaluate-answers", ignore=["out"], code=["tasks.axes", *SHARED_CODE])
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
        base_name=context.base,
    )
    return evaluate(files, out, config)


def show_report(report: ReportRef, run: str) -> None:
    """Show a report's scores on the evaluation's page: as a table, in words, as a picture, and with a link."""
    metrics = read_metrics(report.path)
    about = f"{report.model} of {run}"
    with on_own_page():
        show_table(summary_rows(metrics), artifact_key("scores", run, report.model), f"Scores of {about}")
        verdict = summary_markdown(about, metrics)
        show_markdown(verdict, artifact_key("verdict", run, report.model), f"Verdict on {about}")
        picture = draw_summary(report.model, metrics)
        shown = f"Scores of {about} next to image-blind baselines"
        show_picture(picture, artifact_key("gain", run, report.model), shown)
        page = (report.path / REPORT_PAGE).absolute()
        show_page(page, artifact_key("report", run, report.model), f"Report of {about}")


@task(name="compare-reports")
def compare_reports(base: ReportRef, tuned: ReportRef, out: Path) -> ModelComparison:
    """Compare the tuned model with its base and write the comparison to `out`, over an earlier one."""
    result = compare(base.path, tuned.path, None)
    write_json(out, result)
    return result
