"""Flow predict-subsets: test set -> subsets -> answers -> final.json."""

from pathlib import Path

from flows.cancelling import flow
from flows.owning import owns_run, run_title
from tasks.inference.request import PredictionSpec
from tasks.inference.steps import answer_subsets
from tasks.orchestration.caching import make
from tasks.records import DatasetRef, ModelRef, PredictionsRef
from tasks.settings import ExperimentConfig
from tasks.storage.runs import open_run


@flow(name="predict-subsets", flow_run_name=run_title("predict-subsets-{name}-{label}"), persist_result=False)
@owns_run
def predict_subsets_flow(
    config: ExperimentConfig, name: str, workspace: Path, label: str, model: ModelRef, dataset: DatasetRef
) -> PredictionsRef:
    """Answer the test set with one model.

    Args:
        config: The experiment.
        name: The run's name; empty: the deployment's, with a digest where the settings are others than its own.
        workspace: The folder that all runs share.
        label: What the model is called in the run: base, final or checkpoint-N.
        model: The model that answers.
        dataset: The prepared sets.
    """
    run = open_run(config, name, workspace)
    return make(
        answer_subsets,
        run.folder.predictions(label),
        run.folder.superseded,
        model=model,
        dataset=dataset,
        spec=PredictionSpec(label=label, config=config.inference, subset_size=config.data.subset_size),
        run=run,
    )
