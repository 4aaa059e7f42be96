"""What Prefect's pages say of the parts of a cancelled run; on a real server."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect import flow, task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Cancelling, Completed, Crashed, Running

from flows.cancelling import MESSAGE, cancel_parts

pytestmark = pytest.mark.slow


@flow
def part() -> None:
    """A flow of which runs are recorded."""


@task
def work() -> None:
    """A task of which runs are recorded."""


@pytest.fixture
def client(prefect_server: Path) -> Any:
    with get_client(sync_client=True) as client:
        yield client


def start_task(client: SyncPrefectClient, run: FlowRun, state: Any) -> Any:
    return client.create_task_run(work, flow_run_id=run.id, dynamic_key=str(state.id), state=state).id


@pytest.fixture
def killed(client: SyncPrefectClient) -> SimpleNamespace:
    """A run that was killed while a part of a part was at work."""
    run = client.create_flow_run(part, state=Running())
    earlier = start_task(client, run, Crashed())
    # the server writes the times of states
    asked_at = datetime.now(UTC)
    inner = client.create_flow_run(part, state=Running(), parent_task_run_id=start_task(client, run, Running()))
    innermost = client.create_flow_run(part, state=Crashed(), parent_task_run_id=start_task(client, inner, Running()))
    tasks = {
        "killed": start_task(client, innermost, Running()),
        "stopped": start_task(client, innermost, Crashed()),
        "earlier": earlier,
        "complete": start_task(client, inner, Completed()),
    }
    return SimpleNamespace(run=run, inner=inner, innermost=innermost, tasks=tasks, asked_at=asked_at)


def test_parts_that_were_at_work_are_cancelled(client: SyncPrefectClient, killed: SimpleNamespace) -> None:
    cancel_parts(part, killed.run, Cancelling(timestamp=killed.asked_at))
    for run in (killed.inner, killed.innermost):
        state = client.read_flow_run(run.id).state
        assert state and (state.type, state.message) == (StateType.CANCELLED, MESSAGE)
    states = {name: client.read_task_run(task_run).state for name, task_run in killed.tasks.items()}
    kinds = {name: state.type for name, state in states.items() if state}
    assert kinds == {
        **{"killed": StateType.CANCELLED, "stopped": StateType.CANCELLED},
        # crashed before the cancel, in an earlier attempt
        **{"earlier": StateType.CRASHED, "complete": StateType.COMPLETED},
    }


def test_a_subflow_leaves_it_to_the_run_that_was_started(client: SyncPrefectClient, killed: SimpleNamespace) -> None:
    cancel_parts(part, killed.inner, Cancelling(timestamp=killed.asked_at))
    assert client.read_flow_run(killed.innermost.id).state_type == StateType.CRASHED


def test_another_run_is_not_touched(client: SyncPrefectClient, killed: SimpleNamespace) -> None:
    other = client.create_flow_run(part, state=Running())
    cancel_parts(part, killed.run, Cancelling(timestamp=killed.asked_at))
    assert client.read_flow_run(other.id).state_type == StateType.RUNNING
