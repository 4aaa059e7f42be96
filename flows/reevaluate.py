"""Flow reevaluate: models in the store -> answers and scores of those that changed -> history, alarm when worse."""

from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from prefect import get_run_logger

from flows.answer_and_score import Answerer, answer, score
from flows.decorators import flow, owning_run
from flows.merge_lora import merge_lora_flow
from flows.prepare_data import prepare_data_flow
from flows.shared import obtain_base
from tasks.content_keys import content_digest_of
from tasks.errors import ConfigError
from tasks.paths import BASE, RunFolder, Workspace
from tasks.records import ModelRef
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
from tasks.storage.runs import Run, open_run, read_experiment, reopen_run

ALL: tuple[Label, ...] = get_args(Label)


@flow(name="reevaluate", flow_run_name="{run}: reevaluate", not_in_form=("config",))
def reevaluate_flow(
    run: str,
    models: tuple[Label, ...] = ALL,
    workspace: Path = Path("workspace"),
    config: ExperimentConfig | None = None,
) -> list[Evaluation]:
    """Answer and score again the models of a run in its store, if their weights, data or settings have changed.

    Each report is compared with the previous and the first one of the same model, image by image; the event
    rsvlm.score.dropped reports a source with a lower score. Returns the new evaluations, none if nothing has changed.

    Args:
        run: The run's name, in the workspace or in the store.
        models: Models to evaluate: base, final, best and newest (the last two are checkpoints).
        workspace: Folder shared by all runs.
        config: The experiment, needed if the workspace does not contain the run. Empty: the run's own settings.
    """
    name = run if config is not None else _name_here(run, workspace)
    with owning_run(name, workspace):
        config = config or read_experiment(Workspace(workspace.absolute()).run(name))
        return _evaluate_changed(open_run(config, name, workspace), config, models)


def _name_here(run: str, workspace: Path) -> str:
    """The workspace name of a run that may be given by its name in the store."""
    opened = reopen_run(run, workspace)
    if opened is None:
        raise ConfigError(f"There is no run {run} in {workspace}: give its configuration, or another workspace.")
    return opened.name


def _evaluate_changed(run: Run, config: ExperimentConfig, models: tuple[Label, ...]) -> list[Evaluation]:
    base = obtain_base(config.model, run)
    dataset = prepare_data_flow(config, run.name, run.workspace_root)
    new, watched = [], find_stored_models(run, base, models)
    for model in watched:
        key = content_digest_of([model.weights, dataset, config.inference, config.evaluation])
        if is_evaluated(run, model, key):
            get_run_logger().info("%s has not changed since its last evaluation: skipped.", model.label)
            continue
        # a folder for each evaluation: earlier ones are not moved aside
        folder = RunFolder(run.folder.root / "reevaluations" / key[:KEY_LETTERS])
        answerer = Answerer(model.label, _weights(run, config, model, base))
        answers = answer(run, config, answerer, dataset, folder.predictions(model.label))
        report = score(run, config.evaluation, [answers], dataset, folder.report(model.label))
        time = datetime.now(UTC).isoformat(timespec="seconds")
        new.append(keep_evaluation(run, model, report, key, time, len(watched)))
    show_history(run)
    return new


def _weights(run: Run, config: ExperimentConfig, model: StoredModel, base: ModelRef) -> ModelRef:
    if model.label == BASE:
        return base
    if model.step is None:
        return fetch_merged_step(run, model)
    return merge_lora_flow(config, run.name, run.workspace_root, base, step=model.step)
