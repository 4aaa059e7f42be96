"""`rsvlm list` and `rsvlm view`: all runs of a workspace, one line per run or on a web page."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flows.commands.experiment import add_workspace
from flows.commands.serve import add_address, address_of

if TYPE_CHECKING:
    from tasks.runs.index import RunSummary
    from tasks.runs.scores import RunScore


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `list` and `view` to the command line."""
    parser = subparsers.add_parser(
        "list", help="all runs of a workspace, one line per run", description=run_list.__doc__
    )
    _add_runs(parser)
    parser.add_argument("--json", action="store_true", help="one JSON line per run, for programs")
    parser.set_defaults(run=run_list)
    parser = subparsers.add_parser("view", help="a web page over all runs of a workspace", description=run_view.__doc__)
    _add_runs(parser)
    add_address(parser, 7861)
    parser.set_defaults(run=run_view)


def _add_runs(parser: argparse.ArgumentParser) -> None:
    """Add where the runs are: --workspace, which may also name the folder of a store, or a bucket."""
    add_workspace(parser, "folder of the runs, or a store's folder")
    parser.add_argument("--store", metavar="URI", help="the runs of a bucket instead: s3://bucket/prefix")
    parser.add_argument("--endpoint-url", metavar="URL", help="URL of an S3-compatible server (default: AWS)")


@contextmanager
def _opened_runs(options: argparse.Namespace) -> Iterator[Path]:
    """The folder with the runs; those of a bucket are copied to a temporary one."""
    from tempfile import TemporaryDirectory

    if options.store is None:
        yield options.workspace
        return
    from tasks.runs.store_copy import copy_runs
    from tasks.storage.object_store import open_store

    with TemporaryDirectory(prefix="rsvlm-runs-") as folder:
        copy_runs(open_store(options.store, options.endpoint_url), Path(folder))
        yield Path(folder)


def run_list(options: argparse.Namespace) -> None:
    """Print the runs of a workspace, the last started first: state, time, data, base model, scores, folder, size."""
    import sys

    from flows.commands.evaluation import print_rows
    from tasks.runs.index import list_runs

    with _opened_runs(options) as folder:
        found = list_runs(folder)
    if options.json:
        for each in found:
            print(each.model_dump_json())
    elif found:
        columns = ("run", "state", "started", "data", "base", "scores, against the base model", "size", "folder")
        print_rows([columns, *map(_row, found)])
    else:
        print(
            f"There are no runs in {options.store or options.workspace} yet: start one with `rsvlm run demo`.",
            file=sys.stderr,
        )


def _row(each: "RunSummary") -> tuple[str, ...]:
    from tasks.runs.words import name_of_path, size_in_words

    started = each.started.astimezone().strftime("%Y-%m-%d %H:%M")
    scores = ", ".join(_score(source, score) for source, score in each.scores.items()) or "-"
    names = tuple(name_of_path(value) if value else "-" for value in (each.data, each.base))
    return each.name, each.state, started, *names, scores, size_in_words(each.size_bytes), _shown_path(each.folder)


def _score(source: str, score: "RunScore") -> str:
    return f"{source} {score.value:.3f} {score.verdict or ''}".rstrip()


def _shown_path(folder: Path) -> str:
    """A path below the working directory as it may be typed there; any other path in full."""
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)


def run_view(options: argparse.Namespace) -> None:
    """Serve a page over all runs until Ctrl-C or SIGTERM: scores, curves, reports, and two runs side by side."""
    import os
    import sys

    from tasks.runs.index import runs_folder
    from tasks.runs.web_pages import build_site
    from tasks.serving.environment import login_from_pipe, restart_without_secrets
    from tasks.serving.hosts import LOOPBACK, Hosts
    from tasks.serving.http_server import bind_socket, serve_until_signal
    from tasks.serving.login import VARIABLE, read_login

    login = login_from_pipe() or read_login(os.environ, options.login_file)
    if options.store is None:
        # a bucket needs the keys that are in the environment
        restart_without_secrets(login)
    if options.host not in LOOPBACK and login is None:
        print(
            f"warning: whoever reaches port {options.port} of this machine can read all runs: "
            f"set {VARIABLE}=user:password, or give --login-file.",
            file=sys.stderr,
        )
    with _opened_runs(options) as folder, bind_socket(options.host, options.port) as bound:
        # report a wrong folder now, not on the first request
        runs_folder(folder)
        site = build_site(folder, Hosts(options.host, options.allow_host), login)
        print(address_of(options.host, bound.getsockname()[1]), flush=True)
        serve_until_signal(site, bound)
