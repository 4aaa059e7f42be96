"""`rsvlm checkpoints`: list and verify the archived checkpoints, download one, upload those that are only local."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.storage.checkpoints.listing import ListedCheckpoint
    from tasks.storage.object_store import ObjectStore
    from tasks.storage.runs import Run

INCOMPLETE = 1


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `checkpoints list|verify|pull|archive`."""
    parser = subparsers.add_parser("checkpoints", help="list, verify, download or upload archived checkpoints")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for name, run, text in (
        ("list", run_list, "one JSON line per checkpoint; whole: every file is present with its size"),
        ("verify", run_verify, "the same, but read every byte and compare checksums"),
        ("pull", run_pull, "download one checkpoint, or a run's newest, to OUT_DIR/checkpoint-N"),
    ):
        action = actions.add_parser(name, help=text, description=run.__doc__)
        action.add_argument(
            "store_uri",
            metavar="STORE_URI",
            help="file:///folder, s3://bucket/prefix or a folder: of the store, a run or a checkpoint",
        )
        if run is run_pull:
            action.add_argument("out_dir", type=Path, metavar="OUT_DIR", help="folder for the checkpoint")
        action.add_argument("--endpoint-url", metavar="URL", help="URL of an S3-compatible server (default: AWS)")
        action.set_defaults(run=run)
    action = actions.add_parser(
        "archive", help="upload checkpoints that are only in a run's folder", description=run_archive.__doc__
    )
    action.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="WORKSPACE/runs/NAME")
    action.set_defaults(run=run_archive)


def run_list(options: argparse.Namespace) -> int:
    """Print one JSON line per checkpoint at the address; exit code 1 if one is incomplete."""
    from tasks.storage.checkpoints.listing import list_checkpoints
    from tasks.storage.object_store import open_store

    complete = _print_lines(list_checkpoints(open_store(options.store_uri, options.endpoint_url)))
    if not complete:
        print("there is no checkpoint at this address", file=sys.stderr)
    return 0 if all(complete) else INCOMPLETE


def run_verify(options: argparse.Namespace) -> int:
    """Like `rsvlm checkpoints list`, but read every file and compare its SHA-256."""
    from tasks.errors import StoreError
    from tasks.storage.checkpoints.listing import verify_checkpoints
    from tasks.storage.object_store import open_store

    complete = _print_lines(verify_checkpoints(open_store(options.store_uri, options.endpoint_url)))
    if not complete:
        # a wrong prefix must not look like an intact archive
        raise StoreError(
            f"There is no checkpoint at {options.store_uri}: nothing was verified; give the address of a store, a "
            "run or a checkpoint."
        )
    return 0 if all(complete) else INCOMPLETE


def _print_lines(checkpoints: "Iterable[ListedCheckpoint]") -> list[bool]:
    """Print one line per checkpoint; returns whether each is complete."""
    complete = []
    for checkpoint in checkpoints:
        print(checkpoint.model_dump_json(), flush=True)
        complete.append(checkpoint.whole)
    return complete


def run_pull(options: argparse.Namespace) -> None:
    """Download one checkpoint, or a run's newest, and print its folder."""
    from tasks.storage.checkpoints.listing import pull_checkpoint
    from tasks.storage.object_store import open_store

    print(pull_checkpoint(open_store(options.store_uri, options.endpoint_url), options.out_dir))


def run_archive(options: argparse.Namespace) -> None:
    """Upload the checkpoints of a run that are only local and print their addresses."""
    from tasks.errors import ConfigError
    from tasks.paths import EXPERIMENT, Workspace
    from tasks.storage.checkpoints.archiver import Archive, archive_staged
    from tasks.storage.runs import reopen_run

    folder = options.run_dir.absolute()
    workspace = folder.parent.parent
    run = reopen_run(folder.name, workspace) if folder.parent == Workspace(workspace).runs else None
    if run is None or run.folder.root != folder:
        raise ConfigError(
            f"{options.run_dir} is not the folder of a run: give WORKSPACE/runs/NAME, which contains {EXPERIMENT}."
        )
    archive = Archive(run.folder.staging, _store_of(run), run.store_name, run.archive)
    for archived in archive_staged(archive).values():
        print(archived.uri)


def _store_of(run: "Run") -> "ObjectStore":
    if run.store_config.credentials_block is None:
        return run.store()
    from flows.embedded import open_prefect

    open_prefect("tasks.storage.steps")
    from tasks.storage.steps import open_run_store

    return open_run_store(run)
