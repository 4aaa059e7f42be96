"""`rsvlm report`: the path of a run's report, and the report in a browser."""

import argparse
from pathlib import Path

from flows.commands.experiment import add_workspace


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `report` to the command line."""
    parser = subparsers.add_parser("report", help="find a run's report and open it", description=run.__doc__)
    parser.add_argument(
        "report",
        type=Path,
        metavar="RUN",
        help="a run's name for its final model, RUN/MODEL for another (base, checkpoint-N), or a folder with a report",
    )
    add_workspace(parser)
    parser.add_argument("--open", action="store_true", help="open it in the browser of this machine")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the path of a report's page; with --open also open it in a browser."""
    from tasks.evaluation.report_pages import find_page

    page = find_page(options.report, options.workspace)
    print(page, flush=True)
    if options.open:
        _open(page)


def _open(page: Path) -> None:
    import webbrowser

    from tasks.errors import ConfigError

    if not webbrowser.open(page.resolve().as_uri()):
        raise ConfigError(
            f"There is no browser on this machine: copy {page} to yours, one file that needs nothing else."
        )
