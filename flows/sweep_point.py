"""Flow sweep-point: one experiment up to the scores of its tuned model on the validation set."""

from pathlib import Path

from flows.base_model import obtain_base
from flows.cancelling import flow
from flows.merge_lora import merge_lora_flow
from flows.owning import owns_run
from flows.prepare_data import prepare_data_flow
from flows.train_lora import train_lora_flow
from tasks.evaluation.steps import evaluate_answers
from tasks.inference.request import PredictionSpec
from tasks.inference.steps import answer_subsets
from tasks.orchestration.caching import make
from tasks.paths import FINAL
from tasks.preflight.steps import look_ahead_step
from tasks.records import ReportRef
from tasks.settings import ExperimentConfig
from tasks.storage.runs import open_run
from tasks.sweeping.results import ANSWERS_ON_VALIDATION, REPORT_ON_VALIDATION
from tasks.sweeping.steps import view_validation_step


@flow(name="sweep-point", flow_run_name="sweep-point-{name}", persist_result=False)
@owns_run
def sweep_point_flow(config: ExperimentConfig, name: str, workspace: Path) -> ReportRef:
    """Train, merge and score one point of a sweep on the validation set; the test set is not asked.

    Args:
        config: The experiment at this point.
        name: The run's name.
        workspace: The folder that all runs share.
    """
    run = open_run(config, name, workspace)
    look_ahead_step(config, run)
    dataset = prepare_data_flow(config, name, workspace)
    base = obtain_base(config.model, run)
    checkpoint = train_lora_flow(config, name, workspace, dataset, base)
    merged = merge_lora_flow(config, name, workspace, base, checkpoint)
    superseded, root = run.folder.superseded, run.folder.root
    validation = make(view_validation_step, root / "validation" / "sets", superseded, dataset=dataset)
    spec = PredictionSpec(label=FINAL, config=config.inference, subset_size=config.data.subset_size)
    place = root / ANSWERS_ON_VALIDATION
    answers = make(answer_subsets, place, superseded, model=merged, dataset=validation, spec=spec, run=run)
    # an audit is one of the test set
    settings = config.evaluation.model_copy(update={"only_clean": False, "clean_beside": False})
    return make(
        evaluate_answers,
        root / REPORT_ON_VALIDATION,
        superseded,
        dataset=validation,
        answers=[answers],
        audit=None,
        checkpoints=[],
        config=settings,
    )
