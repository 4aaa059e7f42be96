"""`rsvlm data`: fetch sources; filter, split, reduce and audit instruction files."""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.commands.experiment import resume_hint
from tasks.sources import DEFAULT_SOURCES, UNNAMED

if TYPE_CHECKING:
    from tasks.data.set_files import Written

SOURCES = ",".join(DEFAULT_SOURCES)
PROTOCOLS = ("grouped", "reference")


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `data fetch|filter|split|reduce|audit`."""
    parser = subparsers.add_parser("data", help="fetch the sources; filter, split, reduce or audit instruction files")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    _add_fetch(actions)
    _add_filter(actions)
    _add_split(actions)
    _add_reduce(actions)
    _add_audit(actions)


def _add_fetch(actions: Any) -> None:
    parser = actions.add_parser("fetch", help="download the sources and lay them out", description=run_fetch.__doc__)
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="data folder")
    parser.add_argument(
        "--sources", default=SOURCES, metavar="NAMES", help="sources to fetch, with commas (default: %(default)s)"
    )
    for option, what in (("archive", "an archive or folder of yours"), ("mirror", "an address that is tried first")):
        parser.add_argument(
            f"--{option}",
            action="append",
            default=[],
            metavar="NAME=PLACE",
            help=f"{what}, for a source or instructions; again for a further part",
        )
    parser.add_argument(
        "--endpoint-url", metavar="URL", help="address of an S3-compatible server, for s3 addresses (default: AWS)"
    )
    parser.set_defaults(run=run_fetch)


def _add_filter(actions: Any) -> None:
    parser = actions.add_parser("filter", help="keep the records of some sources", description=run_filter.__doc__)
    parser.add_argument("raw", type=Path, metavar="RAW.json", help="instruction file")
    parser.add_argument("out", type=Path, metavar="OUT.json", help="file to write")
    parser.add_argument(
        "--sources",
        default=SOURCES,
        metavar="NAMES",
        help="sources to keep, with commas, or all (default: %(default)s)",
    )
    add_source(parser)
    parser.set_defaults(run=run_filter)


def _add_split(actions: Any) -> None:
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
        help="share for the test; the rest validates (default: %(default)s)",
    )
    _add_drawing(parser)
    add_source(parser)
    parser.set_defaults(run=run_split)


def _add_reduce(actions: Any) -> None:
    parser = actions.add_parser("reduce", help="keep a share of a test set", description=run_reduce.__doc__)
    parser.add_argument("test", type=Path, metavar="TEST.json", help="test set")
    parser.add_argument("out", type=Path, metavar="OUT.json", help="file to write")
    parser.add_argument("--ratio", type=float, required=True, metavar="SHARE", help="share to keep, above 0 to 1")
    _add_drawing(parser)
    add_source(parser)
    parser.set_defaults(run=run_reduce)


def _add_audit(actions: Any) -> None:
    parser = actions.add_parser("audit", help="find what of the test stands in training", description=run_audit.__doc__)
    parser.add_argument("dataset", type=Path, metavar="DATASET.json", help="instruction file")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="folder that image paths begin in")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the report")
    parser.add_argument("--sets", type=Path, metavar="SETS_DIR", help="folder with data_train.json and data_test.json")
    parser.set_defaults(run=run_audit)


def _add_drawing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=28, metavar="N", help="seed of the draw (default: %(default)s)")
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default=PROTOCOLS[0],
        help="grouped: all records of an image stay together; reference: as the reference scripts do "
        "(default: %(default)s)",
    )


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add `--source`, the name of a source that paths of images do not tell."""
    parser.add_argument(
        "--source",
        default=UNNAMED,
        metavar="NAME",
        help="source of images whose paths have no folder (default: %(default)s)",
    )


def run_fetch(options: argparse.Namespace) -> None:
    """Fetch the instruction file and the images of the sources; started again, it goes on with what is lacking."""
    from deployments.configuration import data_config
    from flows.embedded import open_prefect
    from tasks.data.fetching.all_sources import require_obtainable
    from tasks.data.fetching.request import FetchRequest

    config = data_config(
        sources=_names(options.sources), archives=_places(options.archive), mirrors=_places(options.mirror)
    )
    root = options.root.absolute()
    # a wrong name or path is told at once, before a server is started
    require_obtainable(config.sources, FetchRequest(root=root, archives=config.archives, mirrors=config.mirrors))
    with resume_hint(options, lambda: "what was fetched is kept"):
        open_prefect()
        from flows.fetch_data import fetch_data_flow

        found = fetch_data_flow(root, config, options.endpoint_url)
    for source in found:
        print(f"{source.name}: {source.images} images, {source.missing} that records ask for are missing")


def _places(given: Iterable[str]) -> dict[str, tuple[str, ...]]:
    from tasks.errors import ConfigError

    places: dict[str, tuple[str, ...]] = {}
    for text in given:
        name, sign, place = text.partition("=")
        if not (name and sign and place):
            raise ConfigError(f"{text} says nothing of where: write it as NAME=PLACE.")
        places[name] = (*places.get(name, ()), place)
    return places


def _names(text: str) -> list[str]:
    from tasks.errors import ConfigError

    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigError("--sources names no source: give some, such as NWPU,RSICD.")
    return names


def run_filter(options: argparse.Namespace) -> None:
    """Write the records of the asked sources, and beside them a manifest that counts what was dropped, by reason."""
    from tasks.data.set_files import filter_file

    _print_written([filter_file(options.raw, options.out, _names(options.sources), options.source)])


def run_split(options: argparse.Namespace) -> None:
    """Write data_train.json, data_val.json and data_test.json, each with its manifest; where the shares of train and
    test make 1, there is no data_val.json."""
    from tasks.data.set_files import SplitParameters, split_file

    parameters = SplitParameters(options.train, options.test, options.seed, options.protocol)
    _print_written(split_file(options.dataset, options.out_dir, parameters, options.source))


def run_reduce(options: argparse.Namespace) -> None:
    """Write a share of a test set, the same one for the same seed, with its manifest."""
    from tasks.data.set_files import reduce_file

    draw = (options.ratio, options.seed, options.protocol)
    _print_written([reduce_file(options.test, options.out, *draw, options.source)])


def run_audit(options: argparse.Namespace) -> None:
    """Write audit.json, audit.html and, with --sets, clean_test.json; print how much of the test training shows."""
    from tasks.data.duplicates.audit import audit_file, images_of

    audited = audit_file(options.dataset, options.images, options.out, options.sets)
    found = audited.findings
    print(f"{images_of(found)}, {len(found['pairs'])} pairs show the same, {found['pairs_across_sets']} across sets")
    if test := found.get("test_images"):
        print(f"{test['clean']} of {test['images']} test images are clean: {audited.clean_test}")
    print(audited.page)


def _print_written(files: Iterable["Written"]) -> None:
    from tasks.turn_tasks import add_up, describe_tasks

    dropped: Mapping[str, int] = {}
    tasks = []
    for written in files:
        state = "written" if written.new else "already there from the same input and settings, left as it is"
        kept = ", ".join(f"{source} {number}" for source, number in written.kept.items()) or "no records"
        print(f"{written.path}: {kept} ({state})")
        dropped = written.dropped
        tasks.append(written.tasks)
    for line in describe_tasks(add_up(tasks)):
        print(f"  {line}")
    for reason, number in dropped.items():
        print(f"  dropped {number}: {reason}")
