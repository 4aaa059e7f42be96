"""Decorators of rsvlm's flows: an interrupted run ends as Cancelled, and a run's folder has one owner at a time."""

import getpass
import inspect
import os
import socket
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import cache, wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast
from uuid import UUID

import prefect
from prefect import Flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.states import Cancelled
from pydantic import ValidationError

from deployments.configuration import name_after
from flows.cancelling import cancel_parts
from flows.run_form import form_of
from tasks.errors import RunStopped
from tasks.interrupting import Interrupted, handling_sigterm, stop_requested
from tasks.orchestration.artifacts import on_first_page
from tasks.paths import Workspace
from tasks.settings import ExperimentConfig
from tasks.storage.owner import Owner, owned
from tasks.storage.runs import require_run_name
from tasks.sweeping.config import SweepConfig

P = ParamSpec("P")
R = TypeVar("R")
INTERRUPTED = "Cancelled with Ctrl-C or SIGTERM: start it again to continue from what is complete."
UNNAMED = "experiment"
# in the name of a deployment, between its preset and what it does
PRESET_END = ": "


def flow(
    name: str,
    flow_run_name: str | Callable[[], str],
    persist_result: bool | None = None,
    result_serializer: str | None = None,
    not_in_form: Collection[str] = (),
) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """`prefect.flow` for runs that can be interrupted: the state is Cancelled, and the caller gets RunStopped.

    The run form shows all parameters but `not_in_form`.
    """

    as_flow = prefect.flow(
        name=name,
        flow_run_name=flow_run_name,
        persist_result=persist_result,
        result_serializer=result_serializer,
        on_cancellation=[cancel_parts],
    )

    def decorate(work: Callable[P, R]) -> Flow[P, R]:
        decorated = as_flow(_cancellable(work))
        # Prefect calls the function, and makes the form from the flow's own signature
        vars(decorated)["__signature__"] = form_of(work, not_in_form)
        return decorated

    return decorate


def _cancellable(work: Callable[P, R]) -> Callable[P, R]:
    @wraps(work)
    def cancellable(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            if stop_requested():
                raise Interrupted
            with handling_sigterm(), on_first_page():
                return work(*args, **kwargs)
        except Interrupted:
            stopped = RunStopped(INTERRUPTED)
        except RunStopped as error:
            stopped = error
        return cast("R", Cancelled(message=str(stopped), data=stopped))

    return cancellable


def owns_run(work: Callable[P, R]) -> Callable[P, R]:
    """Own the run while a flow of `config`, `name` and `workspace` works; an empty name gets its default.

    The flows that it calls work in the same run. Raises RunOwned if another process owns it.
    """
    signature = inspect.signature(work)

    @wraps(work)
    def owning(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        values = given.arguments
        values["name"] = name_of_run(**values)
        machine = values["config"].training.node_rank
        with owning_run(values["name"], values["workspace"], machine):
            return work(*given.args, **given.kwargs)

    return owning


def owning_run(name: str, workspace: Path, machine: int = 0) -> AbstractContextManager[None]:
    """Own a run by its name; in a training on several machines each machine owns it under its number."""
    require_run_name(name)
    return owned(Workspace(workspace.absolute()).run(name), this_flow_run(), get_run_logger().warning, machine)


def this_flow_run() -> Owner:
    """Who holds the locks of this flow run: user, machine, process and flow run."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    return Owner(
        user=_user(),
        host=socket.gethostname(),
        pid=os.getpid(),
        since=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        flow_run=run.name if run else None,
        flow_run_id=str(run.id) if run else None,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # a container's user often has a number only
        return f"user {os.getuid()}"


def run_title(template: str) -> Callable[[], str]:
    """For `flow_run_name`: the template filled with the flow's parameters; an empty run name gets its default."""

    def title() -> str:
        context = FlowRunContext.get()
        assert context is not None and context.parameters is not None
        return template.format(**{**context.parameters, "name": name_of_run(**context.parameters)})

    return title


def name_of_run(name: str, config: ExperimentConfig, sweep: SweepConfig | None = None, **_others: object) -> str:
    """The name among a flow's parameters, or the default for its settings."""
    return name or default_run_name(config, sweep)


def default_run_name(config: ExperimentConfig, sweep: SweepConfig | None = None) -> str:
    """The preset's name, with a digest appended if the settings differ from the defaults of the deployment's form.

    The deployments in prefect.yaml are named "PRESET: what they do", so the form and the command line name a run alike.
    """
    deployment, given = this_deployment(), _plain(config.of_first_machine(), sweep)
    if deployment is None:
        return name_after(UNNAMED, given, None)
    return name_after(deployment.preset, given, _form_defaults(deployment.parameters, sweep))


def _form_defaults(parameters: Mapping[str, object], sweep: SweepConfig | None) -> object:
    """The settings in a deployment's form; None if they belong to another version."""
    try:
        config = ExperimentConfig.model_validate(parameters["config"])
        return _plain(config, sweep and SweepConfig.model_validate(parameters["sweep"]))
    except (KeyError, ValidationError):
        return None


def _plain(config: ExperimentConfig, sweep: SweepConfig | None) -> object:
    plain = config.as_plain()
    # without a sweep the digest is the one of the command line
    return [plain, {"sweep": sweep.model_dump(mode="json")}] if sweep else plain


class FormOrigin(NamedTuple):
    """The deployment that a flow run was started from: its preset, and the values that its form offers."""

    preset: str
    parameters: Mapping[str, Any]


def this_deployment() -> FormOrigin | None:
    """The deployment of this flow run, if it has one."""
    context = FlowRunContext.get()
    deployment_id = context.flow_run.deployment_id if context and context.flow_run else None
    return _deployment(deployment_id) if deployment_id else None


@cache
def _deployment(deployment_id: UUID) -> FormOrigin:
    with get_client(sync_client=True) as client:
        found = client.read_deployment(deployment_id)
    return FormOrigin(found.name.partition(PRESET_END)[0], found.parameters)
