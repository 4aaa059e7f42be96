"""`rsvlm data`: filter, split and reduce instruction files."""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.data.set_files import Written

SOURCES = "NWPU,RSICD,LR,DOTA"
PROTOCOLS = ("grouped", "reference")


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `data filter|split|reduce`."""
    parser = subparsers.add_parser("data", help="filter, split or reduce instruction files")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    _add_filter(actions)
    _add_split(actions)
    _add_reduce(actions)


def _add_filter(actions: Any) -> None:
    parser = actions.add_parser("filter", help="keep the records of some sources")
    parser.add_argument("raw", type=Path, metavar="RAW.json", help="instruction file")
    parser.add_argument("out", type=Path, metavar="OUT.json", help="file to write")
    parser.add_argument("--sources", default=SOURCES, help="sources to keep, with commas (default: %(default)s)")
    parser.set_defaults(run=run_filter)


def _add_split(actions: Any) -> None:
    parser = actions.add_parser("split", help="divide records into train, val and test")
    parser.add_argument("dataset", type=Path, metavar="DATASET.json", help="instruction file")
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR", help="folder for data_train.json and so on")
    parser.add_argument("--train", type=float, default=0.7, help="share for training (default: %(default)s)")
    parser.add_argument("--test", type=float, default=0.2, help="share for the test (default: %(default)s)")
    _add_drawing(parser)
    parser.set_defaults(run=run_split)


def _add_reduce(actions: Any) -> None:
    parser = actions.add_parser("reduce", help="keep a share of a test set")
    parser.add_argument("test", type=Path, metavar="TEST.json", help="test set")
    parser.add_argument("out", type=Path, metavar="OUT.json", help="file to write")
    parser.add_argument("--ratio", type=float, required=True, help="share to keep, above 0 to 1")
    _add_drawing(parser)
    parser.set_defaults(run=run_reduce)


def _add_drawing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=28, help="seed of the draw (default: %(default)s)")
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default=PROTOCOLS[0],
        help="grouped: all records of an image stay together; reference: as the reference scripts do "
        "(default: %(default)s)",
    )


def run_filter(options: argparse.Namespace) -> None:
    """Write the records of the asked sources."""
    from tasks.data.set_files import filter_file
    from tasks.errors import ConfigError

    sources = [name.strip() for name in options.sources.split(",") if name.strip()]
    if not sources:
        raise ConfigError("--sources names no source: give some, such as NWPU,RSICD.")
    _print_written([filter_file(options.raw, options.out, sources)])


def run_split(options: argparse.Namespace) -> None:
    """Write the three sets."""
    from tasks.data.set_files import SplitParameters, split_file

    parameters = SplitParameters(options.train, options.test, options.seed, options.protocol)
    _print_written(split_file(options.dataset, options.out_dir, parameters))


def run_reduce(options: argparse.Namespace) -> None:
    """Write a share of the test set."""
    from tasks.data.set_files import reduce_file

    _print_written([reduce_file(options.test, options.out, options.ratio, options.seed, options.protocol)])


def _print_written(files: Iterable["Written"]) -> None:
    dropped: Mapping[str, int] = {}
    for written in files:
        state = "written" if written.new else "already there from the same input and settings, left as it is"
        kept = ", ".join(f"{source} {number}" for source, number in written.kept.items()) or "no records"
        print(f"{written.path}: {kept} ({state})")
        dropped = written.dropped
    for reason, number in dropped.items():
        print(f"  dropped {number}: {reason}")
