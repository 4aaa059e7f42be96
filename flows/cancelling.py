"""Flows as rsvlm has them: one that somebody ends is cancelled, with what is saved, and has not failed or crashed."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import prefect
from prefect import Flow
from prefect.states import Cancelled

from tasks.errors import RunStopped
from tasks.interrupting import Interrupted, handling_sigterm, stop_requested

P = ParamSpec("P")
R = TypeVar("R")
INTERRUPTED = "Cancelled with Ctrl-C or SIGTERM: started again, it goes on with what is complete."


def flow(**options: Any) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """`prefect.flow`, of whose flow an interrupted run ends in the state Cancelled; its caller gets RunStopped."""

    def decorate(work: Callable[P, R]) -> Flow[P, R]:
        return cast("Flow[P, R]", prefect.flow(**options)(_cancellable(work)))

    return decorate


def _cancellable(work: Callable[P, R]) -> Callable[P, R]:
    @wraps(work)
    def cancellable(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            if stop_requested():
                raise Interrupted
            with handling_sigterm():
                return work(*args, **kwargs)
        except Interrupted:
            stopped = RunStopped(INTERRUPTED)
        except RunStopped as error:
            stopped = error
        return cast("R", Cancelled(message=str(stopped), data=stopped))

    return cancellable
