"""`rsvlm merge`: base and adapter into one model directory."""

import argparse
from pathlib import Path


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `merge`."""
    parser = subparsers.add_parser("merge", help="merge an adapter into its base model")
    parser.add_argument("--base", type=Path, required=True, help="the model directory that was trained on")
    parser.add_argument("--adapter", type=Path, required=True, help="a checkpoint of the LoRA training")
    parser.add_argument("--out", type=Path, required=True, help="the directory to write")
    parser.add_argument(
        "--dtype",
        choices=("base", "float32", "bfloat16", "float16"),
        default="base",
        help="type of the merged weights (default: as the base model's)",
    )
    parser.set_defaults(run=run_merge)


def run_merge(options: argparse.Namespace) -> None:
    """Merge and print the written directory."""
    from tasks.merging.merge import merge_adapter

    print(merge_adapter(options.base, options.adapter, options.out, options.dtype).path)
