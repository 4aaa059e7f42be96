"""`rsvlm predict`: answer a test set with a model."""

import argparse
from pathlib import Path
from typing import Any

SETTINGS = ("subset_size", "history", "caption_turns", "max_new_tokens", "batch_size")


def add_parsers(subparsers: Any) -> None:
    """Add `predict` to the command line."""
    parser = subparsers.add_parser("predict", help="answer a test set with a model", description=run.__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="LLaVA model directory")
    parser.add_argument("--adapter", type=Path, metavar="DIR", help="adapter directory to put on the model")
    parser.add_argument("--data", type=Path, required=True, metavar="TEST.json", help="test set")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of the images")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the answers")
    parser.add_argument("--subset-size", type=int, metavar="N", help="records a subset (150)")
    parser.add_argument(
        "--history",
        choices=("independent", "predicted", "reference"),
        help="what a later turn sees of the earlier ones: nothing (default), the model's answers, the true ones",
    )
    parser.add_argument("--caption-turns", choices=("first", "all"), help="caption turns asked (first)")
    parser.add_argument("--max-new-tokens", type=int, metavar="N", help="longest answer in tokens (128)")
    parser.add_argument("--batch-size", type=int, metavar="N", help="questions a batch (16)")
    # needs no weights: for trying out a data folder
    parser.add_argument("--engine", choices=("transformers", "echo"), default="transformers", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Answer a test set into --out: answers.jsonl, subsets/ and final.json; started again, it goes on."""
    import sys
    import time

    from tasks.errors import ModelError
    from tasks.inference.predicting import PredictRequest, predict
    from tasks.inference.progress import Progress
    from tasks.training.base_model import model_digest

    for folder in filter(None, (options.model, options.adapter)):
        if not folder.is_dir():
            raise ModelError(f"{folder} is no directory: give the directory of a model.")
    request = PredictRequest(
        model=options.model,
        model_sha256=model_digest(options.model),
        adapter=options.adapter,
        data=options.data,
        images=options.images,
        out=options.out,
        name=options.model.resolve().name,
        config=_config(options),
        engine=options.engine,
    )
    progress = Progress(say=lambda line: print(line, file=sys.stderr, flush=True), clock=time.monotonic)
    print(predict(request, progress).path)


def _config(options: argparse.Namespace) -> Any:
    from pydantic import ValidationError

    from tasks.errors import ConfigError
    from tasks.settings import InferenceConfig

    given = {name: getattr(options, name) for name in SETTINGS if getattr(options, name) is not None}
    try:
        return InferenceConfig.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"--{str(first['loc'][0]).replace('_', '-')}: {first['msg']}.") from None
