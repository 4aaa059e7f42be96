"""`rsvlm preflight`: check everything that a run needs, before it starts."""

import argparse

from flows.commands.experiment import add_experiment, add_run_folder, run_name

USER_ERROR = 2


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `preflight` to the command line."""
    parser = subparsers.add_parser(
        "preflight", help="find problems before a run starts", description=show_preflight.__doc__
    )
    # the same arguments as `rsvlm run`
    add_experiment(parser)
    add_run_folder(parser)
    parser.set_defaults(run=show_preflight)


def show_preflight(options: argparse.Namespace) -> int:
    """Check everything that a run needs and estimate its GPU memory, without changing anything; exits with 2 if there
    is a problem that would make the run fail."""
    import sys

    from deployments.configuration import load_config
    from tasks.preflight.preflight import run_preflight

    config = load_config(options.preset, options.set)
    run_name(options, config)
    report = run_preflight(config, options.workspace)
    print(report.as_text())
    if report.errors:
        print(f"error: {report.message()}", file=sys.stderr)
        return USER_ERROR
    return 0
