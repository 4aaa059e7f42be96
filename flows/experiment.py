"""Flow experiment: prepare -> train (archiving checkpoints) -> merge -> predict -> evaluate -> compare -> archive."""

from pathlib import Path

from flows.answer_and_score import Answerer, answer_transformed
from flows.decorators import flow, owns_run, run_title
from flows.evaluate_model import evaluate_model_flow
from flows.merge_lora import merge_lora_flow
from flows.predict_subsets import predict_subsets_flow
from flows.prepare_data import prepare_data_flow
from flows.shared import obtain_base
from flows.train_lora import train_lora_flow
from tasks.data.steps import count_tokens_of_sets
from tasks.evaluation.steps import compare_reports
from tasks.orchestration.caching import make
from tasks.paths import BASE, FINAL
from tasks.preflight.steps import preflight_step
from tasks.progress import (
    ARCHIVE,
    BASE_ANSWERS,
    BASE_MODEL,
    CHECKS,
    DATA,
    MERGING,
    SCORES,
    TRAINING,
    TUNED_ANSWERS,
    at_step,
)
from tasks.records import ExperimentResult
from tasks.runs.steps import show_result
from tasks.settings import ExperimentConfig
from tasks.storage.runs import open_run
from tasks.storage.steps import archive_run, claim_store_step


# Persisted, so that a client of a server can read the result. The flows that this one calls are not
# (`persist_result=False`): a restarted run would take their results as complete without checking the folders.
@flow(name="experiment", flow_run_name=run_title("{name}"), persist_result=True, result_serializer="json")
@owns_run
def experiment_flow(config: ExperimentConfig, name: str = "", workspace: Path = Path("workspace")) -> ExperimentResult:
    """Run an experiment from the data folder to the report; steps whose results exist are not repeated.

    Args:
        config: The experiment.
        name: The run's name: its folder in the workspace and in the store. Empty: the preset's name, with a digest
            appended if settings were changed.
        workspace: Folder shared by all runs.
    """
    run = open_run(config, name, workspace)
    of_run = (config, name, run.workspace_root)
    with at_step(CHECKS):
        preflight_step(config, run)
    with at_step(DATA):
        dataset = prepare_data_flow(*of_run)
    with at_step(BASE_MODEL):
        base = obtain_base(config.model, run)
        make(count_tokens_of_sets, run.folder.tokens, run.folder.superseded, dataset=dataset, base=base)
    with at_step(TRAINING):
        checkpoint = train_lora_flow(*of_run, dataset, base)
    with at_step(MERGING):
        merged = merge_lora_flow(*of_run, base, checkpoint)
    with at_step(BASE_ANSWERS):
        answers = {BASE: predict_subsets_flow(*of_run, BASE, base, dataset)}
    with at_step(TUNED_ANSWERS):
        answers[FINAL] = predict_subsets_flow(*of_run, FINAL, merged, dataset)
        answers |= answer_transformed(run, config, Answerer(FINAL, merged), dataset)
    with at_step(SCORES):
        scores = {label: evaluate_model_flow(*of_run, label, dataset, answers) for label in (BASE, FINAL)}
        compare_reports(scores[BASE], scores[FINAL], run.folder.comparison)
    with at_step(ARCHIVE):
        archive_run(claim_store_step(run, dataset, base), dataset, checkpoint)
    show_result(run)
    return ExperimentResult(
        run=name,
        reports=run.folder.reports,
        dataset=dataset,
        checkpoint=checkpoint,
        merged=merged,
        predictions=answers,
        scores=scores,
    )
