"""`rsvlm inspect`: what the model is fed, record by record."""

import argparse
from pathlib import Path
from typing import Any


def add_parsers(subparsers: Any) -> None:
    """Add `inspect` to the command line."""
    parser = subparsers.add_parser("inspect", help="show what the model is fed of each record", description=run.__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="LLaVA model directory")
    parser.add_argument("--data", type=Path, required=True, metavar="FILE.json", help="records")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of the images")
    parser.add_argument("--pixels", type=Path, metavar="DIR", help="folder for each image as <id>.npy, float32 CHW")
    parser.add_argument("--model-max-length", type=int, metavar="N", help="longest sample in tokens (default: 2048)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print one JSON line a record: its id, prompt, input_ids (-200 for the image) and labels (-100: not learned),
    supervised_tokens, and in dropped the reason why the model is not fed it, or null. A record that is split into
    several samples shows them one after another, and their lengths in parts; left_out counts what a record lost."""
    import json

    from tasks.errors import ConfigError, DataError
    from tasks.model.loading import load_processor
    from tasks.settings import TrainingConfig
    from tasks.training.inspect_samples import Inspector
    from tasks.training.samples import Limit
    from tasks.training.training_records import read_records

    longest = TrainingConfig().model_max_length if options.model_max_length is None else options.model_max_length
    if longest < 1:
        raise ConfigError(f"--model-max-length is {longest}: give 1 or more.")
    if not options.images.is_dir():
        raise DataError(f"{options.images} is no folder: give the folder that the records' image paths begin in.")
    records = read_records(options.data)
    limit = Limit(longest, split=TrainingConfig().split_long_conversations)
    inspector = Inspector(load_processor(options.model), options.images, limit, options.pixels)
    for record in records:
        # in ASCII: any text fits into any terminal's encoding
        print(json.dumps(inspector.show(record)))
