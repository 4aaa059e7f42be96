"""`rsvlm merge`: merge an adapter and its base into one model directory."""

import argparse
from pathlib import Path
from typing import get_args

from flows.commands.adapter_options import add_projector
from tasks.choices import Layout, MergedDtype


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `merge`."""
    parser = subparsers.add_parser("merge", help="merge an adapter into its base model", description=run_merge.__doc__)
    parser.add_argument(
        "--base", type=Path, required=True, metavar="DIR", help="the model directory that was trained on"
    )
    parser.add_argument(
        "--adapter",
        type=Path,
        required=True,
        metavar="DIR",
        help="a checkpoint of rsvlm or of the original LLaVA, or an adapter of PEFT",
    )
    add_projector(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the directory to write")
    parser.add_argument(
        "--format",
        choices=get_args(Layout),
        default="transformers",
        help="layout of the directory: transformers (default), or llava for the original LLaVA code",
    )
    parser.add_argument(
        "--dtype",
        choices=get_args(MergedDtype),
        default="base",
        help="dtype of the merged weights (default: the base model's)",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compare answers with those of base and adapter before the directory appears; loads both in float32",
    )
    parser.add_argument(
        "--report", type=Path, metavar="REPORT_DIR", help="a report directory whose scores are added to the model card"
    )
    parser.set_defaults(run=run_merge)


def run_merge(options: argparse.Namespace) -> None:
    """Merge a checkpoint into its base model and print the written directory, which appears complete or not at all."""
    from tasks.merging.merge import merge_checkpoint
    from tasks.merging.model_card import scores_in
    from tasks.merging.model_directory import MergeOptions

    facts = scores_in(options.report) if options.report else ()
    merge_options = MergeOptions(options.dtype, options.format, options.verify, facts, options.projector)
    print(merge_checkpoint(options.base, options.adapter, options.out, merge_options).path)
