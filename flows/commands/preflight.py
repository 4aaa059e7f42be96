"""`rsvlm preflight`: what would stop or starve a run, before it starts."""

import argparse
from typing import Any

from flows.commands.experiment import add_experiment, add_run_folder, run_name

USER_ERROR = 2


def add_parsers(subparsers: Any) -> None:
    """Add `preflight`."""
    parser = subparsers.add_parser(
        "preflight", help="what would stop or starve a run, before it starts", description=show_preflight.__doc__
    )
    # the arguments of `rsvlm run`, so that its command can be given as it is
    add_experiment(parser)
    add_run_folder(parser)
    parser.set_defaults(run=show_preflight)


def show_preflight(options: argparse.Namespace) -> int:
    """Print all that would stop or starve a run, and where its memory goes; exits with 2 if anything would stop it."""
    import sys

    from deployments.configuration import load_config
    from tasks.preflight.preflight import look_ahead

    config = load_config(options.preset, options.set)
    run_name(options, config)
    report = look_ahead(config, options.workspace)
    print(report.as_text())
    if report.stops:
        print(f"error: {report.message()}", file=sys.stderr)
        return USER_ERROR
    return 0
