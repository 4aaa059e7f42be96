"""Flow reevaluate: models of the store -> answers and scores of what changed -> history, alarm when worse."""

from datetime import UTC, datetime
from pathlib import Path

from prefect import get_run_logger

from flows.base_model import obtain_base
from flows.cancelling import flow
from flows.merge_lora import merge_lora_flow
from flows.owning import owning_run
from flows.prepare_data import prepare_data_flow
from tasks.content_keys import content_digest_of
from tasks.data.steps import audit_sets
from tasks.errors import ConfigError
from tasks.evaluation.steps import evaluate_answers
from tasks.inference.request import PredictionSpec
from tasks.inference.steps import answer_subsets
from tasks.orchestration.caching import make
from tasks.paths import Workspace
from tasks.records import DatasetRef, ModelRef, ReportRef
from tasks.reevaluating.history import Evaluation
from tasks.reevaluating.steps import (
    KEY_LETTERS,
    fetch_merged_step,
    find_stored_models,
    is_evaluated,
    keep_evaluation,
    show_history,
)
from tasks.reevaluating.stored_models import Label, StoredModel
from tasks.settings import ExperimentConfig
from tasks.storage.runs import Run, open_run, read_config, reopen_run

ALL: tuple[Label, ...] = ("base", "final", "best", "newest")


@flow(name="reevaluate", flow_run_name="reevaluate-{run}")
def reevaluate_flow(
    run: str,
    models: tuple[Label, ...] = ALL,
    workspace: Path = Path("workspace"),
    config: ExperimentConfig | None = None,
) -> list[Evaluation]:
    """Answer and score again the models of a run that its store holds, as far as anything of them has changed.

    Each report is compared with the last one on the same model, image by image; the event rsvlm.score.dropped tells
    of a source that is worse. Returns the new evaluations: none when nothing has changed.

    Args:
        run: The run's name, in the workspace or in the store.
        models: Which models: base, final, best and newest (checkpoints).
        workspace: The folder that all runs share.
        config: The experiment, on a machine whose workspace does not have the run; else as the run's own.
    """
    name = run if config is not None else _name_here(run, workspace)
    with owning_run(name, workspace):
        config = config or read_config(Workspace(workspace.absolute()).run(name))
        return _evaluate_changed(open_run(config, name, workspace), config, models)


def _name_here(run: str, workspace: Path) -> str:
    """The name in the workspace of a run that may be named as in the store."""
    opened = reopen_run(run, workspace)
    if opened is None:
        raise ConfigError(f"There is no run {run} in {workspace}: give its configuration, or another workspace.")
    return opened.name


def _evaluate_changed(run: Run, config: ExperimentConfig, models: tuple[Label, ...]) -> list[Evaluation]:
    base = obtain_base(config.model, run)
    dataset = prepare_data_flow(config, run.name, run.workspace_root)
    made = []
    for model in find_stored_models(run, base, models):
        key = content_digest_of([model.weights, dataset, config.inference, config.evaluation])
        if is_evaluated(run, model, key):
            get_run_logger().info("%s is as it was at its last evaluation: it is not asked again.", model.label)
            continue
        found = _model(run, config, model, base)
        report = _evaluate(run, config, (model.label, key), found, dataset)
        made.append(keep_evaluation(run, model, report, key, datetime.now(UTC).isoformat(timespec="seconds")))
    show_history(run)
    return made


def _model(run: Run, config: ExperimentConfig, model: StoredModel, base: ModelRef) -> ModelRef:
    if model.label == "base":
        return base
    if model.step is None:
        return fetch_merged_step(run, model)
    return merge_lora_flow(config, run.name, run.workspace_root, base, step=model.step)


def _evaluate(
    run: Run, config: ExperimentConfig, what: tuple[Label, str], model: ModelRef, dataset: DatasetRef
) -> ReportRef:
    """Answer and score in a folder of this evaluation's own: no earlier one is moved aside."""
    label, key = what
    place, superseded = run.folder.root / "reevaluations" / key[:KEY_LETTERS], run.folder.superseded
    spec = PredictionSpec(label=label, config=config.inference, subset_size=config.data.subset_size)
    answers = make(
        answer_subsets,
        place / "predictions" / label,
        superseded,
        model=model,
        dataset=dataset,
        spec=spec,
        run=run,
    )
    audited = config.evaluation.only_clean or config.evaluation.clean_beside
    return make(
        evaluate_answers,
        place / "reports" / label,
        superseded,
        dataset=dataset,
        answers=[answers],
        audit=make(audit_sets, run.folder.audit, superseded, dataset=dataset) if audited else None,
        checkpoints=[],
        config=config.evaluation,
    )
