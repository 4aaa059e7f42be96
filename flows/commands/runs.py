"""`rsvlm list`: all runs of a workspace, one line per run."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.runs.index import RunSummary
    from tasks.runs.scores import RunScore


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `list` to the command line."""
    parser = subparsers.add_parser("list", help="all runs of a workspace, one line per run", description=run.__doc__)
    add_workspace(parser)
    parser.add_argument("--json", action="store_true", help="one JSON line per run, for programs")
    parser.set_defaults(run=run)


def add_workspace(parser: argparse.ArgumentParser) -> None:
    """Add --workspace, which may also name the folder of a store."""
    parser.add_argument(
        "--workspace",
        type=Path,
        default=Path("workspace"),
        metavar="DIR",
        help="folder of the runs, or a store's folder (default: workspace)",
    )


def run(options: argparse.Namespace) -> None:
    """Print the runs of a workspace, the last started first: state, time, data, base model, scores, folder, size."""
    import sys

    from flows.commands.evaluation import print_rows
    from tasks.runs.index import list_runs

    found = list_runs(options.workspace)
    if options.json:
        for each in found:
            print(each.model_dump_json())
    elif found:
        print_rows([("run", "state", "started", "data", "base", "scores", "size", "folder"), *map(_row, found)])
    else:
        print(f"There are no runs in {options.workspace} yet: start one with `rsvlm run demo`.", file=sys.stderr)


def _row(each: "RunSummary") -> tuple[str, ...]:
    from tasks.runs.words import name_of_path, size_in_words

    started = each.started.astimezone().strftime("%Y-%m-%d %H:%M")
    scores = ", ".join(_score(source, score) for source, score in each.scores.items()) or "-"
    names = tuple(name_of_path(value) if value else "-" for value in (each.data, each.base))
    return each.name, each.state, started, *names, scores, size_in_words(each.size_bytes), shown_path(each.folder)


def _score(source: str, score: "RunScore") -> str:
    interval = f" ({score.ci95[0]:.2f} to {score.ci95[1]:.2f})" if score.ci95 else ""
    verdict = f" {score.verdict}" if score.verdict else ""
    return f"{source} {score.value:.3f}{interval}{verdict}"


def shown_path(folder: Path) -> str:
    """A path below the working directory as it may be typed there; any other path in full."""
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)
