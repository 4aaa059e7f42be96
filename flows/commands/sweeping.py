"""`rsvlm sweep`: a sweep from a YAML file, with a leaderboard while it runs."""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flows.commands.evaluation import print_rows
from flows.commands.experiment import add_verbosity, add_workspace, require_usable, resume_hint

if TYPE_CHECKING:
    from tasks.sweeping.results import SweepResult


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `sweep`."""
    parser = subparsers.add_parser(
        "sweep", help="runs with different settings, and a leaderboard", description=run_sweep.__doc__
    )
    parser.add_argument("sweep", type=Path, metavar="SWEEP.yaml", help="preset and search, as in docs/sweeps.md")
    parser.add_argument("--name", help="the sweep's name, with which those of its runs begin (default: the file's)")
    add_workspace(parser)
    add_verbosity(parser)
    parser.set_defaults(run=run_sweep)


def run_sweep(options: argparse.Namespace) -> None:
    """Run a sweep and print its leaderboard, and its folder as the last line; the same command again continues it."""
    from deployments.sweeps import load_sweep, name_of_sweep
    from tasks.sweeping.results import require_same_search, sweep_folder
    from tasks.sweeping.study import require_optuna

    config, sweep = load_sweep(options.sweep)
    workspace = options.workspace.absolute()
    name = options.name or name_of_sweep(options.sweep)
    folder = sweep_folder(workspace, name)
    require_optuna()
    require_same_search(folder, config, sweep)
    require_usable(config, workspace)
    with resume_hint(options, lambda: _tried(folder)):
        with _started(options, folder):
            from flows.run_sweep import run_sweep_flow

            result = run_sweep_flow(config, sweep, name, workspace)
        if not options.quiet:
            _print_result(result)
        print(result.folder)


@contextmanager
def _started(options: argparse.Namespace, folder: Path) -> Iterator[None]:
    """Start Prefect and show the leaderboard while the block runs; with -v all output, with -q nothing."""
    from rich.console import Console

    from flows.embedded import check_server, start_prefect
    from flows.terminal.leaderboard import watching
    from flows.terminal.output import output_to, show_warnings
    from tasks.paths import SWEEP_LOG

    # before the log makes the sweep's folder
    check_server()
    with ExitStack() as stack:
        if not options.verbose:
            messages = stack.enter_context(output_to(folder / SWEEP_LOG))
            prefect_has_started = stack.enter_context(show_warnings())
            if not options.quiet:
                stack.enter_context(watching(folder, Console(file=messages)))
        start_prefect("flows.run_sweep")
        if not options.verbose:
            prefect_has_started()
        yield


def _tried(folder: Path) -> str:
    from tasks.sweeping.progress import read_progress

    progress = read_progress(folder)
    ended = sum(point.state != "running" for point in progress.points) if progress else 0
    return f"{ended} of {progress.total} points are done" if progress else "no point was begun"


def _print_result(result: "SweepResult") -> None:
    """Print the leaderboard and the files."""
    from flows.terminal.leaderboard import board
    from flows.terminal.result import program
    from tasks.paths import LEADERBOARD_PAGE, REPORT_PAGE
    from tasks.sweeping.progress import read_progress

    if progress := read_progress(result.folder):
        print_rows(board(progress, ""))
    if result.report:
        print(f"report of the best on the test set: {result.report.path / REPORT_PAGE}")
    print(f"leaderboard with charts: {result.folder / LEADERBOARD_PAGE}")
    print(f"the best as a preset: {program()} run {result.best}")
