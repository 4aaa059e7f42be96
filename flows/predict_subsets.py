"""Flow predict-subsets: test set -> subsets -> answers -> final.json."""

from pathlib import Path

from flows.answer_and_score import Answerer, answer
from flows.decorators import flow, owns_run, run_title
from tasks.records import DatasetRef, ModelRef, PredictionsRef
from tasks.settings import ExperimentConfig
from tasks.storage.runs import open_run


@flow(name="predict-subsets", flow_run_name=run_title("{name}: predict-subsets {label}"), persist_result=False)
@owns_run
def predict_subsets_flow(
    config: ExperimentConfig, name: str, workspace: Path, label: str, model: ModelRef, dataset: DatasetRef
) -> PredictionsRef:
    """Answer the test set with one model.

    Args:
        config: The experiment.
        name: The run's name. Empty: the preset's name, with a digest appended if settings were changed.
        workspace: Folder shared by all runs.
        label: The model's label in the run: base, final or checkpoint-N.
        model: The model that answers.
        dataset: The prepared sets.
    """
    run = open_run(config, name, workspace)
    return answer(run, config, Answerer(label, model), dataset, run.folder.predictions(label))
