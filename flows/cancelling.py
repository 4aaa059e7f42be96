"""The parts of a cancelled run end as Cancelled too.

Prefect marks only the run itself. A task that SIGTERM interrupts ends as Crashed, and what SIGKILL interrupts stays
Running: on its pages, both look like faults.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun
from prefect.states import Cancelled

MESSAGE = "The run was cancelled."
# a part that has completed or failed has no parts that work
SETTLED = {StateType.COMPLETED, StateType.FAILED}
NOT_SETTLED = [kind for kind in StateType if kind not in SETTLED]


def cancel_parts(flow: object, flow_run: FlowRun, state: State[Any]) -> None:
    """Prefect's hook for a cancelled run, called when its process has ended; a subflow leaves it to the first flow."""
    if flow_run.parent_task_run_id is None:
        asked = flow_run.state if flow_run.state and flow_run.state.is_cancelling() else state
        mark_parts(flow_run.id, asked.timestamp)


def mark_parts(flow_run: UUID, since: datetime) -> None:
    """Mark the parts of a run, and theirs, that have not ended, or have crashed since that time, as Cancelled."""
    with get_client(sync_client=True) as client:
        flow_runs, parents = [flow_run], [flow_run]
        while parents:
            of_parents = FlowRunFilter(
                parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=parents),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=NOT_SETTLED)),
            )
            found = client.read_flow_runs(flow_run_filter=of_parents)
            for run in found:
                if _is_left(run, since):
                    client.set_flow_run_state(run.id, Cancelled(message=MESSAGE), force=True)
            parents = [run.id for run in found]
            flow_runs += parents
        tasks = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=flow_runs)),
            task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=NOT_SETTLED))),
        )
        for task in tasks:
            if _is_left(task, since):
                client.set_task_run_state(task.id, Cancelled(message=MESSAGE), force=True)


def _is_left(run: FlowRun | TaskRun, since: datetime) -> bool:
    """Whether a run has not ended, or has crashed since that time."""
    state = run.state
    if state is None or not state.is_final():
        return True
    return state.is_crashed() and state.timestamp >= since
