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
from tasks.evaluation.steps import compare_reports, show_result
from tasks.orchestration.caching import make
from tasks.paths import BASE, FINAL
from tasks.preflight.steps import preflight_step
from tasks.records import ExperimentResult
from tasks.settings import ExperimentConfig
from tasks.storage.runs import open_run
from tasks.storage.steps import archive_run, claim_store_step


# Persisted, so that a client of a server can read the result. The flows that this one calls are not
# (`persist_result=False`): a restarted run would take their results as complete without checking the folders.
@flow(name="experiment", flow_run_name=run_title("experiment-{name}"), persist_result=True, result_serializer="json")
@owns_run
def experiment_flow(config: ExperimentConfig, name: str = "", workspace: Path = Path("workspace")) -> ExperimentResult:
    """Run an experiment from the data folder to the report; steps whose results exist are not repeated.

    Args:
        config: The experiment.
        name: The run's name: its folder in the workspace and in the store. Empty: the deployment's name, with a digest
            appended if settings were changed.
        workspace: Folder shared by all runs.
    """
    run = open_run(config, name, workspace)
    of_run = (config, name, run.workspace_root)
    preflight_step(config, run)
    dataset = prepare_data_flow(*of_run)
    base = obtain_base(config.model, run)
    make(count_tokens_of_sets, run.folder.tokens, run.folder.superseded, dataset=dataset, base=base)
    checkpoint = train_lora_flow(*of_run, dataset, base)
    merged = merge_lora_flow(*of_run, base, checkpoint)
    answers = {
        label: predict_subsets_flow(*of_run, label, model, dataset) for label, model in ((BASE, base), (FINAL, merged))
    }
    answers |= answer_transformed(run, config, Answerer(FINAL, merged), dataset)
    scores = {label: evaluate_model_flow(*of_run, label, dataset, answers) for label in (BASE, FINAL)}
    compare_reports(scores[BASE], scores[FINAL], run.folder.comparison)
    archive_run(claim_store_step(run, dataset, base), dataset, checkpoint)
    show_result(scores[FINAL], name)
    return ExperimentResult(
        run=name,
        reports=run.folder.reports,
        dataset=dataset,
        checkpoint=checkpoint,
        merged=merged,
        predictions=answers,
        scores=scores,
    )
