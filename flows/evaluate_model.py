"""Flow evaluate-model: answers -> scores, controls, report."""

from pathlib import Path

from flows.answer_and_score import score
from flows.decorators import flow, owns_run, run_title
from tasks.evaluation.report_folder import reports_of_checkpoints
from tasks.evaluation.steps import show_report
from tasks.paths import BASE, FINAL, TRANSFORMED
from tasks.records import DatasetRef, PredictionsRef, ReportContext, ReportRef
from tasks.settings import ExperimentConfig
from tasks.storage.runs import open_run
from tasks.training.training_facts import read_training_facts


@flow(name="evaluate-model", flow_run_name=run_title("{name}: evaluate-model {label}"), persist_result=False)
@owns_run
def evaluate_model_flow(
    config: ExperimentConfig,
    name: str,
    workspace: Path,
    label: str,
    dataset: DatasetRef,
    predictions: dict[str, PredictionsRef],
) -> ReportRef:
    """Score the answers of one model and write its report, next to the base model's answers if there are any.

    Args:
        config: The experiment.
        name: The run's name. Empty: the preset's name, with a digest appended if settings were changed.
        workspace: Folder shared by all runs.
        label: Model whose answers are scored: base, final or checkpoint-N.
        dataset: The prepared sets.
        predictions: Answers by model label; those of base are shown for comparison, and so are the scores of
            robustness/TRANSFORM, the final model's answers about transformed images.
    """
    run = open_run(config, name, workspace)
    answers = [predictions[model] for model in dict.fromkeys((label, BASE)) if model in predictions]
    checkpoints = tuple(each for each in reports_of_checkpoints(run.folder.reports) if each.model != label)
    transformed = [each for each in predictions if label == FINAL and each.startswith(f"{TRANSFORMED}/")]
    robustness = tuple(
        score(run, config.evaluation, [predictions[each]], dataset, run.folder.report(each)) for each in transformed
    )
    training = None if label == BASE else read_training_facts(run.folder.training / label)
    context = ReportContext(
        base=config.model.base_name, training=training, checkpoints=checkpoints, robustness=robustness
    )
    report = score(run, config.evaluation, answers, dataset, run.folder.report(label), context)
    show_report(report, name)
    return report
