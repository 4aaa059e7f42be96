"""Answering as a Prefect task; a child process does it, so that the flow never holds a GPU."""

from pathlib import Path

from tasks.inference.predicting import PredictRequest
from tasks.paths import FILTERED_TEST_SET
from tasks.processes import run_worker
from tasks.records import DatasetRef, ModelRef, PredictionsRef
from tasks.settings import InferenceConfig
from tasks.steps import lines_to, step


@step("answer-subsets")
def answer_subsets(
    model: ModelRef, dataset: DatasetRef, config: InferenceConfig, label: str, out: Path, log: Path
) -> PredictionsRef:
    """Answer a dataset's test set with one model into the folder `out`."""
    request = PredictRequest(
        model=model.path, model_sha256=model.sha256, data=dataset.path / FILTERED_TEST_SET, images=dataset.images,
        out=out, name=label, config=config,
    )  # fmt: skip
    answers = run_worker("tasks.inference.worker", request.model_dump(mode="json"), lines_to(log))
    return PredictionsRef.model_validate(answers)
