"""Answering as a Prefect task: a child process does the work, so that the flow never holds a GPU."""

from pathlib import Path

from tasks.inference.predicting import PredictRequest
from tasks.processes import run_worker
from tasks.records import DatasetRef, ModelRef, PredictionsRef
from tasks.settings import InferenceConfig
from tasks.steps import step


@step(name="answer-subsets")
def answer_subsets(
    model: ModelRef, dataset: DatasetRef, config: InferenceConfig, name: str, out: Path
) -> PredictionsRef:
    """Answer a dataset's test set with a model into the folder `out`."""
    request = PredictRequest(
        model=model.path,
        model_sha256=model.sha256,
        data=dataset.path / "filtered_test.json",
        images=dataset.images,
        out=out,
        name=name,
        config=config,
    )
    return PredictionsRef.model_validate(run_worker("tasks.inference.worker", request.model_dump(mode="json")))
