"""Flow sweep-point: one experiment up to the scores of its tuned model on the validation set."""

from pathlib import Path

from flows.answer_and_score import Answerer, answer, score
from flows.decorators import flow, owns_run
from flows.merge_lora import merge_lora_flow
from flows.prepare_data import prepare_data_flow
from flows.shared import obtain_base
from flows.train_lora import train_lora_flow
from tasks.data.steps import view_validation_step
from tasks.orchestration.caching import make
from tasks.paths import FINAL
from tasks.preflight.steps import preflight_step
from tasks.records import ReportRef
from tasks.settings import ExperimentConfig
from tasks.storage.runs import open_run


@flow(name="sweep-point", flow_run_name="{name}: sweep-point", persist_result=False)
@owns_run
def sweep_point_flow(config: ExperimentConfig, name: str, workspace: Path) -> ReportRef:
    """Train, merge and score one point of a sweep on the validation set; the test set is not used.

    Args:
        config: The experiment at this point.
        name: The run's name.
        workspace: Folder shared by all runs.
    """
    run = open_run(config, name, workspace)
    preflight_step(config, run)
    dataset = prepare_data_flow(config, name, workspace)
    base = obtain_base(config.model, run)
    checkpoint = train_lora_flow(config, name, workspace, dataset, base)
    merged = merge_lora_flow(config, name, workspace, base, checkpoint)
    folder = run.folder.validation
    validation = make(view_validation_step, folder.sets, run.folder.superseded, dataset=dataset)
    answers = answer(run, config, Answerer(FINAL, merged), validation, folder.predictions(FINAL))
    # an audit is about the test set
    settings = config.evaluation.model_copy(update={"only_clean": False, "clean_beside": False})
    return score(run, settings, [answers], validation, folder.report(FINAL))
