"""The child process that answers a test set or a share of it: `python -m tasks.inference.worker --config FILE`."""

import time
from typing import Any

from tasks.inference.predict import Listener, ProgressLog, answer_share, predict
from tasks.inference.request import PredictRequest, Share
from tasks.processes import serve_worker


def answer(config: dict[str, object]) -> Any:
    """Answer with one model; `config` holds a PredictRequest, and a Share if several processes answer.

    The result is a PredictionsRef, or the number of the share's answers.
    """
    listener = Listener(ProgressLog(log, time.monotonic), log)
    request, share = PredictRequest.model_validate(config["request"]), config.get("share")
    if share is not None:
        return answer_share(request, Share.model_validate(share), listener)
    return predict(request, listener).model_dump(mode="json")


def log(line: str) -> None:
    """Print a line without buffering."""
    print(line, flush=True)


if __name__ == "__main__":
    serve_worker(answer)
