"""`rsvlm sweep`: a sweep from a YAML file, with a leaderboard while it runs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from flows.commands.evaluation import print_rows
from flows.commands.experiment import WORKSPACE, require_usable, resume_hint

if TYPE_CHECKING:
    from tasks.sweeping.results import SweepResult


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `sweep`."""
    parser = subparsers.add_parser(
        "sweep", help="runs with different settings, and a leaderboard", description=run_sweep.__doc__
    )
    parser.add_argument("sweep", type=Path, metavar="SWEEP.yaml", help="preset and search, as in docs/sweeps.md")
    parser.add_argument("--name", help="the sweep's name, with which those of its runs begin (default: the file's)")
    parser.add_argument(
        "--workspace", type=Path, default=WORKSPACE, metavar="DIR", help="folder of all runs (default: ./workspace)"
    )
    parser.set_defaults(run=run_sweep)


def run_sweep(options: argparse.Namespace) -> None:
    """Run a sweep and print its leaderboard, and its folder as the last line; the same command again continues it."""
    from rich.console import Console

    from deployments.sweeps import load_sweep, name_of_sweep
    from flows.terminal.leaderboard import watching
    from tasks.paths import SWEEP_LOG
    from tasks.sweeping.results import require_same_search, sweep_folder
    from tasks.sweeping.study import require_optuna

    config, sweep = load_sweep(options.sweep)
    workspace = options.workspace.absolute()
    name = options.name or name_of_sweep(options.sweep)
    folder = sweep_folder(workspace, name)
    require_optuna()
    require_same_search(folder, config, sweep)
    require_usable(config, workspace)
    from flows.embedded import open_prefect
    from flows.quiet import quiet_prefect

    with resume_hint(options, lambda: _tried(folder)), quiet_prefect(folder / SWEEP_LOG, warnings=False):
        open_prefect()
        from flows.run_sweep import run_sweep_flow

        with watching(folder, Console(stderr=True)):
            result = run_sweep_flow(config, sweep, name, workspace)
    _print_result(result)


def _tried(folder: Path) -> str:
    from tasks.sweeping.progress import read_progress

    progress = read_progress(folder)
    ended = sum(point.state != "running" for point in progress.points) if progress else 0
    return f"{ended} of {progress.total} points are done" if progress else "no point was begun"


def _print_result(result: "SweepResult") -> None:
    """Print the leaderboard, the files, and the sweep's folder as the last line."""
    from flows.terminal.leaderboard import board
    from tasks.paths import LEADERBOARD_PAGE, REPORT_PAGE
    from tasks.sweeping.progress import read_progress

    if progress := read_progress(result.folder):
        print_rows(board(progress, ""))
    if result.report:
        print(f"report of the best on the test set: {result.report.path / REPORT_PAGE}")
    print(f"leaderboard with charts: {result.folder / LEADERBOARD_PAGE}")
    print(f"the best as a preset: rsvlm run {result.best}")
    print(result.folder)
