"""`rsvlm data`: fetch sources; filter, split, reduce and audit instruction files."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from flows.commands import importing
from flows.commands.experiment import resume_hint
from tasks.choices import DrawProtocol, SplitProtocol
from tasks.sources import DEFAULT_SOURCES, UNNAMED

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    Subparsers = _SubParsersAction[argparse.ArgumentParser]

SOURCES = ",".join(DEFAULT_SOURCES)
OWN = "; own: as the field split of the records says"


def add_parsers(subparsers: "Subparsers") -> None:
    """Add `data fetch|import|convert|filter|split|reduce|audit`."""
    parser = subparsers.add_parser(
        "data", help="fetch the sources; import, convert, filter, split, reduce or audit instruction files"
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    _add_fetch(actions)
    importing.add_actions(actions)
    _add_filter(actions)
    _add_split(actions)
    _add_reduce(actions)
    _add_audit(actions)


def _add_fetch(actions: "Subparsers") -> None:
    parser = actions.add_parser("fetch", help="download the sources and lay them out", description=run_fetch.__doc__)
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="data folder")
    _add_sources(parser, "sources, separated by commas")
    for option, what in (("archive", "your own archive or folder"), ("mirror", "a URL that is tried first")):
        parser.add_argument(
            f"--{option}",
            action="append",
            default=[],
            metavar="NAME=PATH_OR_URL",
            help=f"{what}, for a source or instructions; repeat it for further parts",
        )
    parser.add_argument(
        "--endpoint-url", metavar="URL", help="URL of an S3-compatible server, for s3 URLs (default: AWS)"
    )
    parser.set_defaults(run=run_fetch)


def _add_sources(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--sources", metavar="NAMES", help=f"{what} (default: {SOURCES}, or those of --config)")
    parser.add_argument(
        "--config",
        metavar="PRESET_OR_YAML",
        help="an experiment whose data section names sources of your own, image folders and so on",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="a.b=value", help="override one setting; may be repeated"
    )


def _add_filter(actions: "Subparsers") -> None:
    parser = actions.add_parser("filter", help="keep the records of some sources", description=run_filter.__doc__)
    parser.add_argument("raw", type=Path, metavar="RAW.json", help="instruction file")
    parser.add_argument("out", type=Path, metavar="OUT.json", help="file to write")
    _add_sources(parser, "sources to keep, separated by commas, or all")
    add_source(parser)
    parser.set_defaults(run=run_filter)


def _add_split(actions: "Subparsers") -> None:
    parser = actions.add_parser("split", help="divide records into train, val and test", description=run_split.__doc__)
    parser.add_argument("dataset", type=Path, metavar="DATASET.json", help="instruction file")
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR", help="folder for data_train.json and so on")
    parser.add_argument(
        "--train", type=float, default=0.7, metavar="SHARE", help="share for training (default: %(default)s)"
    )
    parser.add_argument(
        "--test",
        type=float,
        default=0.2,
        metavar="SHARE",
        help="share for the test set; the rest is for validation (default: %(default)s)",
    )
    _add_drawing(parser, get_args(SplitProtocol), OWN)
    add_source(parser)
    parser.set_defaults(run=run_split)


def _add_reduce(actions: "Subparsers") -> None:
    parser = actions.add_parser("reduce", help="keep a share of a test set", description=run_reduce.__doc__)
    parser.add_argument("test", type=Path, metavar="TEST.json", help="test set")
    parser.add_argument("out", type=Path, metavar="OUT.json", help="file to write")
    parser.add_argument("--ratio", type=float, required=True, metavar="SHARE", help="share to keep, above 0 to 1")
    _add_drawing(parser, get_args(DrawProtocol))
    add_source(parser)
    parser.set_defaults(run=run_reduce)


def _add_audit(actions: "Subparsers") -> None:
    parser = actions.add_parser("audit", help="find test data that leaks into training", description=run_audit.__doc__)
    parser.add_argument("dataset", type=Path, metavar="DATASET.json", help="instruction file")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder that image paths start from")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the report")
    parser.add_argument("--sets", type=Path, metavar="SETS_DIR", help="folder with data_train.json and data_test.json")
    parser.set_defaults(run=run_audit)


def _add_drawing(parser: argparse.ArgumentParser, protocols: tuple[str, ...], more: str = "") -> None:
    parser.add_argument("--seed", type=int, default=28, metavar="N", help="random seed (default: %(default)s)")
    parser.add_argument(
        "--protocol",
        choices=protocols,
        default="grouped",
        help=f"grouped: all records of an image stay together; reference: as the reference scripts{more} "
        "(default: %(default)s)",
    )


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add `--source`, the name of the source of images whose paths have no folder."""
    parser.add_argument(
        "--source",
        default=UNNAMED,
        metavar="NAME",
        help="source of images whose paths have no folder (default: %(default)s)",
    )


def run_fetch(options: argparse.Namespace) -> None:
    """Fetch the instruction file and the images of the sources; run again, it fetches what is missing."""
    from deployments.configuration import data_config
    from flows.embedded import open_prefect
    from tasks.data.fetching.all_sources import require_fetchable
    from tasks.data.fetching.request import request_of

    given = {"archives": _locations(options.archive), "mirrors": _locations(options.mirror)}
    values = {name: locations for name, locations in given.items() if locations}
    chosen = {"sources": _names(options.sources)} if options.sources is not None else {}
    config = data_config(options.config, options.set, **values, **chosen)
    root = options.root.absolute()
    # a wrong name or path is reported at once, before a server is started
    require_fetchable(config.sources, request_of(root, config))
    with resume_hint(options, lambda: "what was fetched is kept"):
        open_prefect("flows.fetch_data")
        from flows.fetch_data import fetch_data_flow

        found = fetch_data_flow(root, config, options.endpoint_url)
    for source in found:
        print(f"{source.name}: {source.images} images, {source.missing} images of records are missing")


def _locations(given: Iterable[str]) -> dict[str, tuple[str, ...]]:
    from tasks.errors import ConfigError

    locations: dict[str, tuple[str, ...]] = {}
    for text in given:
        name, sign, location = text.partition("=")
        if not (name and sign and location):
            raise ConfigError(f"{text} lacks a name, a path or a URL: write it as NAME=PATH_OR_URL.")
        locations[name] = (*locations.get(name, ()), location)
    return locations


def _names(text: str) -> list[str]:
    from tasks.errors import ConfigError

    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigError("--sources is empty: give some, such as NWPU,RSICD.")
    return names


def run_filter(options: argparse.Namespace) -> None:
    """Write the records of the chosen sources, and a manifest that counts the dropped records by reason."""
    from deployments.configuration import data_config
    from tasks.data.record_checks import outside_advice
    from tasks.data.set_files import filter_file

    config = data_config(options.config, options.set)
    sources = _names(options.sources) if options.sources is not None else config.sources
    unnamed = config.unnamed_source if options.source == UNNAMED else options.source
    written = filter_file(options.raw, options.out, sources, unnamed, config)
    importing.print_written([written])
    if advice := outside_advice(written.dropped):
        print(f"  {advice.removeprefix('; ')}")


def run_split(options: argparse.Namespace) -> None:
    """Write data_train.json, data_val.json and data_test.json, each with its manifest; without data_val.json where the
    shares of train and test sum to 1."""
    from tasks.data.set_files import SplitParameters, split_file

    parameters = SplitParameters(options.train, options.test, options.seed, options.protocol)
    importing.print_written(split_file(options.dataset, options.out_dir, parameters, options.source))


def run_reduce(options: argparse.Namespace) -> None:
    """Write a share of a test set, and its manifest; the same seed gives the same share."""
    from tasks.data.set_files import reduce_file

    draw = (options.ratio, options.seed, options.protocol)
    importing.print_written([reduce_file(options.test, options.out, *draw, options.source)])


def run_audit(options: argparse.Namespace) -> None:
    """Write audit.json, audit.html and, with --sets, clean_test.json; print how much of the test set leaks."""
    from tasks.data.duplicates.audit import audit_file, describe_images

    audited = audit_file(options.dataset, options.images, options.out, options.sets)
    found = audited.findings
    pairs = f"{len(found['pairs'])} near-duplicate pairs, {found['pairs_across_sets']} across sets"
    print(f"{describe_images(found)}, {pairs}")
    if test := found.get("test_images"):
        print(f"{test['clean']} of {test['images']} test images are clean: {audited.clean_test}")
    print(audited.page)
