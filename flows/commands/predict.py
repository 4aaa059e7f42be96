"""`rsvlm predict`: answer a test set with a model."""

import argparse
from pathlib import Path
from typing import Any

from flows.commands.adapter_options import add_adapter, require_adapter_for_projector

SETTINGS = ("history", "caption_turns", "max_new_tokens", "batch_size", "temperature", "seed", "dtype", "engine")


def add_parsers(subparsers: Any) -> None:
    """Add `predict` to the command line."""
    parser = subparsers.add_parser("predict", help="answer a test set with a model", description=run.__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="LLaVA model directory")
    add_adapter(parser)
    parser.add_argument("--data", type=Path, required=True, metavar="TEST.json", help="test set")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of the images")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the answers")
    parser.add_argument("--subset-size", type=int, default=150, metavar="N", help="records per subset (default: 150)")
    parser.add_argument(
        "--history",
        choices=("independent", "predicted", "reference"),
        help="what a later turn sees of the earlier ones: nothing (default), the model's answers, the true ones",
    )
    parser.add_argument("--caption-turns", choices=("first", "all"), help="caption turns asked (default: first)")
    parser.add_argument("--max-new-tokens", type=int, metavar="N", help="longest answer in tokens (default: 128)")
    parser.add_argument(
        "--batch-size", type=int, metavar="N", help="at most so many questions per batch (default: as memory allows)"
    )
    parser.add_argument("--temperature", type=float, metavar="T", help="above 0: draw tokens; 0: the likeliest")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of drawn tokens (default: 28)")
    parser.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        help="type of the weights (default: auto: bfloat16 on a GPU, float32 on a CPU)",
    )
    parser.add_argument(
        "--engine", choices=("transformers", "vllm", "echo"), help="what answers (default: transformers)"
    )
    parser.add_argument("--cache", metavar="STORE_URI", help="store that keeps answers, and is asked before the model")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Answer a test set into --out: answers.jsonl, subsets/ and final.json; started again, it goes on."""
    import sys
    import time

    from tasks.errors import ConfigError, ModelError
    from tasks.inference.predict import Listener, predict
    from tasks.inference.progress import Progress
    from tasks.inference.request import KeptIn, PredictRequest
    from tasks.model.configured_base import model_digest

    require_adapter_for_projector(options)
    for folder in filter(None, (options.model, options.adapter)):
        if not folder.is_dir():
            raise ModelError(f"{folder} is no directory: give the directory of a model.")
    if options.subset_size < 1:
        raise ConfigError("--subset-size: give 1 or more.")
    request = PredictRequest(
        model=options.model,
        model_sha256=model_digest(options.model),
        adapter=options.adapter,
        projector=options.projector,
        data=options.data,
        images=options.images,
        out=options.out,
        name=options.model.resolve().name,
        config=_config(options),
        subset_size=options.subset_size,
        store=KeptIn(uri=options.cache) if options.cache else None,
    )

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    print(predict(request, Listener(Progress(say, time.monotonic), say)).path)


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
