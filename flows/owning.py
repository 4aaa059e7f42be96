"""A flow owns its run: two of one name do not work in one folder, and what all runs share is made by one of them."""

import getpass
import inspect
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

from prefect import Task, get_run_logger
from prefect.context import FlowRunContext

from deployments.run_names import default_run_name
from tasks.orchestration.caching import free_folder, make
from tasks.paths import Workspace
from tasks.records import FolderRef
from tasks.storage.owner import Owner, hold_lock, owned
from tasks.storage.runs import require_run_name

Work = TypeVar("Work", bound=Callable[..., Any])
Ref = TypeVar("Ref", bound=FolderRef)


def owns_run(work: Work) -> Work:
    """For a flow of `config`, `name` and `workspace`: it owns the run while it works, and an empty name is filled in.

    The flows that it calls work in the same run. Raises RunOwned where another process owns it.
    """
    signature = inspect.signature(work)

    @wraps(work)
    def owning(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        values = given.arguments
        values["name"] = name_of_run(values)
        machine = values["config"].training.node_rank
        with owning_run(values["name"], values["workspace"], machine):
            return work(*given.args, **given.kwargs)

    return cast("Work", owning)


def owning_run(name: str, workspace: Path, machine: int = 0) -> AbstractContextManager[None]:
    """Own a run by its name; of a training on several machines, each owns it by its number."""
    require_run_name(name)
    return owned(Workspace(workspace.absolute()).run(name), _this_flow_run(), get_run_logger().warning, machine)


def run_title(template: str) -> Callable[[], str]:
    """For `flow_run_name`: the template with the flow's parameters, a run's name filled in where it is empty."""

    def title() -> str:
        context = FlowRunContext.get()
        assert context is not None and context.parameters is not None
        return template.format(**{**context.parameters, "name": name_of_run(context.parameters)})

    return title


def name_of_run(parameters: Mapping[str, Any]) -> str:
    """The name among a flow's parameters, or one that tells its settings."""
    more = {"sweep": parameters["sweep"]} if "sweep" in parameters else {}
    return parameters["name"] or default_run_name(parameters["config"], **more)


def make_shared(work: Task[..., Ref], folder: Path, **parameters: Any) -> Ref:
    """Make what all runs of a workspace share: one makes it, the others wait for that and use it.

    What other settings or other code have made at `folder` stays there, as a run may be using it: a folder with a
    digest beside it is taken then.
    """
    with taking_turns(folder):
        return make(work, free_folder(work, folder, parameters), folder.with_name("superseded"), **parameters)


def taking_turns(shared: Path) -> AbstractContextManager[None]:
    """Wait until no other run of the workspace makes what is `shared`, and keep the others waiting."""
    return hold_lock(shared.with_name(f".{shared.name}.lock"), _this_flow_run(), get_run_logger().warning)


def _this_flow_run() -> Owner:
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
