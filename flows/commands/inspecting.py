"""`rsvlm inspect`: show what the model is trained on, record by record."""

import argparse
from pathlib import Path


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `inspect` to the command line."""
    parser = subparsers.add_parser(
        "inspect", help="show prompt, tokens and labels of each record", description=run.__doc__
    )
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="model directory")
    parser.add_argument("--data", type=Path, required=True, metavar="FILE.json", help="records")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder of the images")
    parser.add_argument("--pixels", type=Path, metavar="DIR", help="save each image as DIR/<id>.npy, float32 CHW")
    parser.add_argument("--model-max-length", type=int, metavar="N", help="longest sample in tokens (default: 2048)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print one JSON line per record: id, prompt, input_ids (an image as -200), labels (-100: no loss) and
    supervised_tokens; dropped is the reason why the record is not used, or null. The samples of a record that is split
    are concatenated, and parts lists their lengths; left_out counts what a record loses."""
    import json

    from tasks.errors import ConfigError, DataError
    from tasks.model.families import family_of
    from tasks.model.loading import load_processor
    from tasks.record_reader import read_records
    from tasks.settings import TrainingConfig
    from tasks.training.inspect_samples import Inspector
    from tasks.training.samples import LengthLimit, training_fault

    longest = TrainingConfig().model_max_length if options.model_max_length is None else options.model_max_length
    if longest < 1:
        raise ConfigError(f"--model-max-length is {longest}: give 1 or more.")
    if not options.images.is_dir():
        raise DataError(f"{options.images} is not a folder: give the folder that image paths are relative to.")
    records = read_records(options.data, training_fault)
    limit = LengthLimit(longest, split=TrainingConfig().split_long_conversations)
    family, processor = family_of(options.model), load_processor(options.model)
    takes = family.several_images, family.dialogues
    inspector = Inspector(processor, options.images, limit, options.pixels, *takes)
    for record in records:
        # as ASCII: it can be printed in any terminal's encoding
        print(json.dumps(inspector.show(record)))
