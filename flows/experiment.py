"""Flow experiment: prepare -> train (archives as it goes) -> merge -> predict -> evaluate -> compare -> archive."""

from pathlib import Path

from flows.base_model import obtain_base
from flows.cancelling import flow
from flows.evaluate_model import evaluate_model_flow
from flows.merge_lora import merge_lora_flow
from flows.owning import owns_run, run_title
from flows.predict_subsets import predict_subsets_flow
from flows.prepare_data import prepare_data_flow
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


# Kept, so that whoever started it on a server can read what it made. The flows that a flow calls keep nothing
# (`persist_result=False`): a run that is started again would take their results for whole without a look.
@flow(name="experiment", flow_run_name=run_title("experiment-{name}"), persist_result=True, result_serializer="json")
@owns_run
def experiment_flow(config: ExperimentConfig, name: str = "", workspace: Path = Path("workspace")) -> ExperimentResult:
    """Run a whole experiment, from the data folder to the report; what was made before is not made again.

    Args:
        config: The experiment.
        name: The run's name: its folder in the workspace and in the store; empty: the deployment's, with a digest
            where the settings are others than its own.
        workspace: The folder that all runs share.
    """
    run = open_run(config, name, workspace)
    place = (config, name, run.workspace_root)
    preflight_step(config, run)
    dataset = prepare_data_flow(*place)
    base = obtain_base(config.model, run)
    make(count_tokens_of_sets, run.folder.tokens, run.folder.superseded, dataset=dataset, base=base)
    checkpoint = train_lora_flow(*place, dataset, base)
    merged = merge_lora_flow(*place, base, checkpoint)
    answers = {
        label: predict_subsets_flow(*place, label, model, dataset) for label, model in ((BASE, base), (FINAL, merged))
    }
    scores = {label: evaluate_model_flow(*place, label, dataset, answers) for label in answers}
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
