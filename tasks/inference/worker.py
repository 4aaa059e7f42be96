"""The child process that answers a test set: `python -m tasks.inference.worker --config FILE`."""

import time
from typing import Any

from tasks.inference.predicting import PredictRequest, predict
from tasks.inference.progress import Progress
from tasks.processes import serve_worker


def answer(config: dict[str, Any]) -> dict[str, Any]:
    """Answer a test set with one model; --config holds a PredictRequest, the result is a PredictionsRef."""
    progress = Progress(say=lambda line: print(line, flush=True), clock=time.monotonic)
    return predict(PredictRequest.model_validate(config), progress).model_dump(mode="json")


if __name__ == "__main__":
    serve_worker(answer)
