"""`rsvlm run`, `rsvlm train` and `rsvlm config`: an experiment from a preset or a YAML file."""

import argparse
import atexit
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from tasks.errors import RunStopped
from tasks.interrupting import INTERRUPTED_EXIT, Interrupted, stop_requested

if TYPE_CHECKING:
    from tasks.settings import ExperimentConfig

WORKSPACE = Path("workspace")


class FlowArguments(TypedDict):
    """Parameters of a flow that works in a run."""

    config: "ExperimentConfig"
    name: str
    workspace: Path


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `run`, `config` and `train`."""
    run = subparsers.add_parser(
        "run", help="a complete experiment, from data to report", description=run_experiment.__doc__
    )
    add_experiment(run)
    add_run_folder(run)
    run.set_defaults(run=run_experiment)

    config = subparsers.add_parser("config", help="the resolved configuration as YAML", description=show_config.__doc__)
    add_experiment(config)
    config.set_defaults(run=show_config)

    train = subparsers.add_parser(
        "train", help="prepare the data and train; no merging, no evaluation", description=train_model.__doc__
    )
    add_experiment(train)
    add_run_folder(train)
    train.add_argument(
        "--resume",
        action="store_true",
        help="resume from the newest complete checkpoint of the same training; refused with other settings",
    )
    train.set_defaults(run=train_model)


def add_experiment(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that define an experiment."""
    parser.add_argument("preset", metavar="PRESET_OR_YAML", help="a preset's name or a YAML file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="a.b=value", help="override one setting; may be repeated"
    )


def add_run_folder(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for the run's folder: name and workspace."""
    parser.add_argument("--name", help="the run's name (default: the preset's, with a digest of your overrides)")
    parser.add_argument(
        "--workspace", type=Path, default=WORKSPACE, metavar="DIR", help="folder of all runs (default: ./workspace)"
    )


def show_config(options: argparse.Namespace) -> None:
    """Print all settings of an experiment as YAML, to save and edit."""
    from deployments.configuration import load_config

    print(load_config(options.preset, options.set).as_yaml(), end="")


def run_experiment(options: argparse.Namespace) -> None:
    """Run a complete experiment and print the report directory as the last line; finished steps are not repeated."""
    arguments = _arguments(options)
    from flows.embedded import open_prefect

    with resume_hint(options, lambda: _saved(arguments)):
        open_prefect()
        from flows.experiment import experiment_flow

        print(experiment_flow(**arguments).reports)


def train_model(options: argparse.Namespace) -> None:
    """Prepare the data, train, and print the final checkpoint as the last line."""
    arguments = _arguments(options)
    if options.resume:
        from tasks.paths import Workspace
        from tasks.training.settings_record import require_same_settings

        require_same_settings(Workspace(arguments["workspace"]).run(arguments["name"]).training, arguments["config"])
    from flows.embedded import open_prefect

    with resume_hint(options, lambda: _saved(arguments)):
        open_prefect()
        from flows.train_lora import train_lora_flow

        print(train_lora_flow(**arguments, resume=options.resume).path)


def _saved(arguments: FlowArguments) -> str:
    from tasks.paths import Workspace
    from tasks.training.saved_checkpoints import complete_checkpoints

    saved = complete_checkpoints(Workspace(arguments["workspace"]).run(arguments["name"]).training)
    return f"{saved[-1].name} is saved" if saved else "no checkpoint is saved yet"


def _arguments(options: argparse.Namespace) -> FlowArguments:
    """Parameters of a flow, checked before Prefect and its server are started."""
    from deployments.configuration import load_config
    from tasks.data.image_folders import require_folders
    from tasks.data.preparing import find_raw
    from tasks.errors import ConfigError
    from tasks.paths import Workspace
    from tasks.preflight.preflight import path_findings
    from tasks.record_reader import no_fault, read_records
    from tasks.storage.owner import require_not_owned

    config = load_config(options.preset, options.set)
    name = run_name(options, config)
    workspace = options.workspace.absolute()
    for found in path_findings(workspace):
        if found.level == "stops":
            raise ConfigError(f"{found.text}.")
    require_not_owned(Workspace(workspace).run(name), config.training.node_rank)
    if config.data.root is not None and not config.data.fetch:
        # report bad records at once, before a server is started and anything is written
        require_folders(config.data.image_root)
        read_records(find_raw(config.data.root, needs_images=not config.data.image_root), no_fault)
    return {"config": config, "name": name, "workspace": workspace}


def run_name(options: argparse.Namespace, config: "ExperimentConfig") -> str:
    """The run's name, given or by default; raises ConfigError if it is not a valid name."""
    from deployments.configuration import default_name
    from tasks.storage.runs import require_run_name

    name = options.name or default_name(options.preset, config)
    require_run_name(name)
    return name


@contextmanager
def resume_hint(options: argparse.Namespace, saved: Callable[[], str]) -> Iterator[None]:
    """If Ctrl-C ends the block, raise Interrupted with what is `saved` and the command that resumes."""
    stopped = False

    def leave() -> None:
        if stopped:
            os._exit(INTERRUPTED_EXIT)

    # registered first, it runs last: unloading all imported libraries would take seconds more
    atexit.register(leave)
    try:
        yield
    except BaseException as error:
        if not stop_requested() or not _is_stop(error):
            raise
        stopped = True
        raise Interrupted(f"{saved()}; continue with `{_resume_command(options)}`.") from None


def _is_stop(error: BaseException) -> bool:
    from prefect.exceptions import CancelledRun

    # a state that comes back from a slow server without its exception is raised as Prefect's own
    return isinstance(error, (KeyboardInterrupt, RunStopped, CancelledRun))


def _resume_command(options: argparse.Namespace) -> str:
    resume = ["--resume"] if "resume" in options and not options.resume else []
    return shlex.join(["rsvlm", *options.arguments, *resume])
