"""Flow evaluate-model: answers -> scores, controls, report."""

from pathlib import Path

from flows.cancelling import flow
from flows.owning import owns_run, run_title
from tasks.data.steps import audit_sets
from tasks.evaluation.report_folder import reports_of_checkpoints
from tasks.evaluation.steps import evaluate_answers, show_report
from tasks.orchestration.caching import make
from tasks.paths import BASE
from tasks.records import DatasetRef, PredictionsRef, ReportRef
from tasks.settings import ExperimentConfig
from tasks.storage.runs import open_run


@flow(name="evaluate-model", flow_run_name=run_title("evaluate-model-{name}-{label}"), persist_result=False)
@owns_run
def evaluate_model_flow(
    config: ExperimentConfig,
    name: str,
    workspace: Path,
    label: str,
    dataset: DatasetRef,
    predictions: dict[str, PredictionsRef],
) -> ReportRef:
    """Score the answers of one model and write its report, beside the base model's where there are any.

    Args:
        config: The experiment.
        name: The run's name; empty: the deployment's, with a digest where the settings are others than its own.
        workspace: The folder that all runs share.
        label: Whose answers are scored: base, final or checkpoint-N.
        dataset: The prepared sets.
        predictions: Answers by model; those of base are shown for comparison.
    """
    run = open_run(config, name, workspace)
    clean = config.evaluation.only_clean or config.evaluation.clean_beside
    audit = make(audit_sets, run.folder.audit, run.folder.superseded, dataset=dataset) if clean else None
    report = make(
        evaluate_answers,
        run.folder.report(label),
        run.folder.superseded,
        dataset=dataset,
        answers=[predictions[model] for model in dict.fromkeys((label, BASE)) if model in predictions],
        audit=audit,
        checkpoints=[each for each in reports_of_checkpoints(run.folder.reports) if each.model != label],
        config=config.evaluation,
    )
    show_report(report, name)
    return report
