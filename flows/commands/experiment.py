"""`rsvlm run`, `rsvlm train` and `rsvlm config`: an experiment from a preset or a YAML file."""

import argparse
import atexit
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from flows.terminal.parser import explain_missing
from tasks.errors import RunStopped
from tasks.interrupting import INTERRUPTED_EXIT, Interrupted, stop_requested
from tasks.progress import BASE_MODEL, EXPERIMENT_STEPS, TRAINING, TRAINING_STEPS

if TYPE_CHECKING:
    from tasks.settings import ExperimentConfig

WORKSPACE = Path("workspace")
PRESET = "PRESET_OR_YAML"


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
    add_verbosity(run)
    run.set_defaults(run=run_experiment)

    config = subparsers.add_parser("config", help="the resolved configuration as YAML", description=show_config.__doc__)
    add_experiment(config)
    config.set_defaults(run=show_config)

    train = subparsers.add_parser(
        "train", help="prepare the data and train; no merging, no evaluation", description=train_model.__doc__
    )
    add_experiment(train)
    add_run_folder(train)
    add_verbosity(train)
    train.add_argument(
        "--resume",
        action="store_true",
        help="resume from the newest complete checkpoint of the same training; refused with other settings",
    )
    train.set_defaults(run=train_model)


def add_experiment(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that define an experiment."""
    parser.add_argument("preset", metavar=PRESET, help="a preset's name or a YAML file")
    explain_missing(parser, PRESET, _list_presets)
    parser.add_argument(
        "--set", action="append", default=[], metavar="a.b=value", help="override one setting; may be repeated"
    )


def _list_presets() -> str:
    from deployments.preset_files import preset_lines

    lines = "\n".join(f"  {line}" for line in preset_lines())
    return f"error: Name a preset, or give the path of a YAML file. The presets are:\n{lines}\n"


def add_run_folder(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for the run's folder: name and workspace."""
    parser.add_argument("--name", help="the run's name (default: the preset's, with a digest of your overrides)")
    add_workspace(parser)


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """Add -v and -q, for the commands that show the steps of a run."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("-v", "--verbose", action="store_true", help="print all output, which else goes to the log")
    group.add_argument("-q", "--quiet", action="store_true", help="print the last line only")


def add_workspace(parser: argparse.ArgumentParser, meaning: str = "folder of all runs") -> None:
    """Add --workspace, the folder of all runs."""
    parser.add_argument(
        "--workspace", type=Path, default=WORKSPACE, metavar="DIR", help=f"{meaning} (default: ./workspace)"
    )


def show_config(options: argparse.Namespace) -> None:
    """Print all settings of an experiment as YAML, to save and edit."""
    from deployments.configuration import load_config

    print(load_config(options.preset, options.set).as_yaml(), end="")


def run_experiment(options: argparse.Namespace) -> None:
    """Run a complete experiment and print the report directory as the last line; finished steps are not repeated."""
    arguments = _arguments(options)
    from flows.terminal.result import print_result
    from flows.terminal.views import result_console
    from tasks.paths import RunFolder

    with resume_hint(options, lambda: _saved(arguments)):
        with _started(options, arguments, EXPERIMENT_STEPS, "flows.experiment"):
            from flows.experiment import experiment_flow

            reports = experiment_flow(**arguments).reports
        if not options.quiet:
            print_result(result_console(), RunFolder(reports.parent))
        print(reports)


def train_model(options: argparse.Namespace) -> None:
    """Prepare the data, train, and print the final checkpoint as the last line."""
    arguments = _arguments(options)
    if options.resume:
        from tasks.paths import Workspace
        from tasks.training.settings_record import require_same_settings

        require_same_settings(Workspace(arguments["workspace"]).run(arguments["name"]).training, arguments["config"])
    with resume_hint(options, lambda: _saved(arguments)):
        with _started(options, arguments, TRAINING_STEPS, "flows.train_lora"):
            from flows.train_lora import train_lora_flow

            final = train_lora_flow(**arguments, resume=options.resume).path
        print(final)


@contextmanager
def _started(
    options: argparse.Namespace, arguments: FlowArguments, steps: Sequence[str], module: str
) -> Iterator[None]:
    """Start Prefect and import the flow's module; show the steps while the block runs, or with -v all output."""
    from flows.embedded import check_server, start_prefect
    from flows.terminal.views import run_shown
    from tasks.paths import Workspace

    # before the log makes the run's folder
    check_server()
    if options.verbose:
        start_prefect(module)
        yield
        return
    log = Workspace(arguments["workspace"]).run(arguments["name"]).log
    with run_shown(steps, _longest(arguments), log, options.quiet) as prefect_has_started:
        start_prefect(module)
        prefect_has_started()
        yield


def _longest(arguments: FlowArguments) -> str:
    """The step that will take longest: the training, unless the toy base is not trained yet."""
    from tasks.paths import Workspace
    from tasks.settings import TOYS

    base = arguments["config"].model.base
    is_toy = base in TOYS and not Workspace(arguments["workspace"]).toy_base(base).exists()
    return BASE_MODEL if is_toy else TRAINING


def _saved(arguments: FlowArguments) -> str:
    from tasks.paths import Workspace
    from tasks.training.saved_checkpoints import complete_checkpoints

    saved = complete_checkpoints(Workspace(arguments["workspace"]).run(arguments["name"]).training)
    return f"{saved[-1].name} is saved" if saved else "no checkpoint is saved yet"


def _arguments(options: argparse.Namespace) -> FlowArguments:
    """Parameters of a flow, checked before Prefect and its server are started."""
    from deployments.configuration import load_config
    from tasks.paths import Workspace
    from tasks.storage.owner import require_not_owned

    config = load_config(options.preset, options.set)
    name = run_name(options, config)
    workspace = options.workspace.absolute()
    require_not_owned(Workspace(workspace).run(name), config.training.node_rank)
    require_usable(config, workspace)
    return {"config": config, "name": name, "workspace": workspace}


def require_usable(config: "ExperimentConfig", workspace: Path) -> None:
    """Raise a UserError if the workspace cannot be written or the data folder holds bad records."""
    from tasks.data.image_folders import require_folders
    from tasks.data.preparing import find_raw
    from tasks.errors import ConfigError
    from tasks.preflight.preflight import path_findings
    from tasks.record_reader import no_fault, read_records

    for found in path_findings(workspace):
        if found.level == "stops":
            raise ConfigError(f"{found.text}.")
    if config.data.root is not None and not config.data.fetch:
        # report bad records at once, before a server is started and anything is written
        require_folders(config.data.image_root)
        read_records(find_raw(config.data.root, needs_images=not config.data.image_root), no_fault)


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
    from httpx import TransportError
    from prefect.exceptions import CancelledRun

    # a state that comes back from a slow server without its exception is raised as Prefect's own; SIGTERM to the whole
    # process group, as `timeout` and batch systems send it, ends the embedded server first
    return isinstance(error, (KeyboardInterrupt, RunStopped, CancelledRun, TransportError))


def _resume_command(options: argparse.Namespace) -> str:
    resume = ["--resume"] if "resume" in options and not options.resume else []
    return shlex.join(["rsvlm", *options.arguments, *resume])
