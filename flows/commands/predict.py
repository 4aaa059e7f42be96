"""`rsvlm predict`: answer a test set with a model."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, get_args

from flows.commands.adapter_options import add_adapter, add_model, require_adapter_for_projector
from tasks.choices import CaptionTurns, History, InferenceDtype, Transform
from tasks.inference.engines.registry import DEFAULT_ENGINE, ENGINES

if TYPE_CHECKING:
    from tasks.settings import InferenceConfig

SETTINGS = (
    *("history", "caption_turns", "max_new_tokens", "batch_size", "temperature", "seed", "dtype", "engine"),
    "transform",
)


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `predict` to the command line."""
    parser = subparsers.add_parser("predict", help="answer a test set with a model", description=run.__doc__)
    add_model(parser, required=False)
    add_adapter(parser)
    parser.add_argument("--data", type=Path, required=True, metavar="TEST.json", help="test set")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of the images")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the answers")
    parser.add_argument("--subset-size", type=int, default=150, metavar="N", help="records per subset (default: 150)")
    parser.add_argument(
        "--history",
        choices=get_args(History),
        help="what a later turn sees of the earlier ones: nothing (default), the model's answers, or the reference "
        "answers",
    )
    parser.add_argument(
        "--caption-turns", choices=get_args(CaptionTurns), help="caption prompts asked (default: first)"
    )
    parser.add_argument(
        "--max-new-tokens", type=int, metavar="N", help="maximum length of an answer in tokens (default: 128)"
    )
    parser.add_argument(
        "--batch-size", type=int, metavar="N", help="maximum questions per batch (default: as memory allows)"
    )
    parser.add_argument(
        "--temperature", type=float, metavar="T", help="sampling temperature (default: 0, greedy decoding)"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed of sampling (default: 28)")
    parser.add_argument(
        "--dtype",
        choices=get_args(InferenceDtype),
        help="number type of the weights (default: auto: bfloat16 on a GPU, float32 on a CPU)",
    )
    engines = "; ".join(f"{name}: {entry.summary}" for name, entry in ENGINES.items())
    parser.add_argument("--engine", choices=tuple(ENGINES), help=f"what answers (default: {DEFAULT_ENGINE}). {engines}")
    parser.add_argument("--endpoint", metavar="URL", help="address of a chat endpoint, for the engine openai")
    parser.add_argument("--served-model", metavar="NAME", help="name of the model on that server")
    parser.add_argument(
        "--transform",
        choices=get_args(Transform),
        help="change every image before the model sees it, to test robustness",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="inference.b=value",
        help="any setting of the section inference, such as inference.api.model=NAME; may be repeated",
    )
    parser.add_argument("--cache", metavar="STORE_URI", help="store that caches answers for later runs")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Answer a test set into --out: answers.jsonl, subsets/ and final.json; run again to resume."""
    import sys
    import time

    from tasks.errors import ConfigError, ModelError
    from tasks.inference.predict import Listener, ProgressLog, predict
    from tasks.inference.request import AnswerStore, PredictRequest

    require_adapter_for_projector(options)
    for folder in filter(None, (options.model, options.adapter)):
        if not folder.is_dir():
            raise ModelError(f"{folder} is not a directory: give the directory of a model.")
    if options.subset_size < 1:
        raise ConfigError("--subset-size: give 1 or more.")
    config = _config(options)
    request = PredictRequest(
        **_model(options.model, config),
        adapter=options.adapter,
        projector=options.projector,
        data=options.data,
        images=options.images,
        out=options.out,
        config=config,
        subset_size=options.subset_size,
        store=AnswerStore(uri=options.cache) if options.cache else None,
    )

    def log(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    print(predict(request, Listener(ProgressLog(log, time.monotonic), log)).path)


class ModelFields(TypedDict):
    """The fields of a PredictRequest that say which model answers."""

    model: Path
    model_sha256: str
    name: str


def _model(folder: Path | None, config: "InferenceConfig") -> ModelFields:
    """The model of a directory, named after it, or a served one, named as on its server."""
    from tasks.errors import ConfigError
    from tasks.files import digest_of
    from tasks.model.families import model_digest

    if config.is_served:
        if folder is not None:
            raise ConfigError(f"The engine {config.engine} asks a served model: leave out --model.")
        name = str(config.api.model)
        return {"model": Path(name), "model_sha256": digest_of(config.api.identity), "name": name}
    if folder is None:
        raise ConfigError(f"The engine {config.engine} lacks a model: give its directory as --model.")
    return {"model": folder, "model_sha256": model_digest(folder), "name": folder.resolve().name}


def _config(options: argparse.Namespace) -> "InferenceConfig":
    """The settings of --set, and those of the options, which win."""
    from pydantic import ValidationError

    from deployments.configuration import section_values
    from tasks.errors import ConfigError
    from tasks.settings import ExperimentConfig
    from tasks.settings.explaining import explain

    given = {name: getattr(options, name) for name in SETTINGS if getattr(options, name) is not None}
    values = {**section_values("inference", options.set), **given}
    served = {"base_url": options.endpoint, "model": options.served_model}
    if served := {name: value for name, value in served.items() if value is not None}:
        api = values.get("api")
        values["api"] = {**(api if isinstance(api, dict) else {}), **served}
    try:
        return ExperimentConfig.model_validate({"inference": values}).inference
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"][1:2] and first["loc"][1] in given:
            raise ConfigError(f"--{str(first['loc'][1]).replace('_', '-')}: {first['msg']}.") from None
        raise ConfigError(explain(error)) from None
