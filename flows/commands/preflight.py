"""`rsvlm preflight`: what would stop or starve a run, before it starts."""

import argparse
from pathlib import Path
from typing import Any

USER_ERROR = 2


def add_parsers(subparsers: Any) -> None:
    """Add `preflight`."""
    parser = subparsers.add_parser("preflight", help="what would stop or starve a run, before it starts")
    parser.add_argument("preset", metavar="PRESET_OR_YAML", help="a preset's name or a YAML file")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=value", help="override one setting")
    parser.add_argument("--workspace", type=Path, default=Path("workspace"), help="folder of all runs")
    parser.set_defaults(run=show_preflight)


def show_preflight(options: argparse.Namespace) -> int:
    """Print all that was found; 2 where anything would stop the run."""
    import sys

    from deployments.configuration import load_config
    from tasks.preflight.looking_ahead import look_ahead

    report = look_ahead(load_config(options.preset, options.set), options.workspace)
    print(report.as_text())
    if report.stops:
        print(f"error: {report.message()}", file=sys.stderr)
        return USER_ERROR
    return 0
