"""The work pools of rsvlm: made once, and then left as people have changed them."""

from pathlib import Path
from typing import Any, Literal

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound

from tasks.errors import ConfigError
from tasks.files import read_json

PoolType = Literal["process", "docker", "kubernetes"]
TEMPLATES = Path(__file__).with_name("work_pools")
HOLDING = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


def template_of(pool_type: str) -> dict[str, Any]:
    """The base job template of a pool of this type."""
    template: dict[str, Any] = read_json(TEMPLATES / f"{pool_type}.json")
    return template


def ensure_pool(client: SyncPrefectClient, name: str, pool_type: PoolType, slots: int | None, asked: bool) -> str:
    """Make a work pool that is not there yet; says what was done.

    `slots` runs at most are at work in it at a time. The server counts runs that are pending, running or cancelling,
    so a slot comes back with the end of its run, whatever becomes of worker and server. Of a pool that is there, only
    the slots are changed, and only where they are `asked` for. Raises ConfigError where it is of another type.
    """
    try:
        there = client.read_work_pool(name)
    except ObjectNotFound:
        template = template_of(pool_type)
        client.create_work_pool(
            WorkPoolCreate(name=name, type=pool_type, base_job_template=template, concurrency_limit=slots)
        )
        return f"made the work pool {name}, of type {pool_type}, for {_said(slots)}"
    if there.type != pool_type:
        raise ConfigError(
            f"The work pool {name} is of type {there.type}, not {pool_type}: give --type {there.type}, "
            "or another --work-pool."
        )
    if asked and there.concurrency_limit != slots:
        client.update_work_pool(name, WorkPoolUpdate(concurrency_limit=slots))
        return f"the work pool {name} takes {_said(slots)} now"
    return f"the work pool {name} is there, for {_said(there.concurrency_limit)}"


def ensure_queue(client: SyncPrefectClient, pool: str, name: str, slots: int, asked: bool) -> str:
    """Make a queue of a pool for the runs that share its GPUs; says what was done.

    `slots` counts as in `ensure_pool`; the pool's other runs do not wait for these.
    """
    try:
        there = client.read_work_queue_by_name(name, work_pool_name=pool)
    except ObjectNotFound:
        client.create_work_queue(name, concurrency_limit=slots, work_pool_name=pool)
        return f"made the work queue {pool}/{name}, for {_said(slots)}"
    if asked and there.concurrency_limit != slots:
        client.update_work_queue(there.id, concurrency_limit=slots)
        return f"the work queue {pool}/{name} takes {_said(slots)} now"
    return f"the work queue {pool}/{name} is there, for {_said(there.concurrency_limit)}"


def _said(slots: int | None) -> str:
    if slots is None:
        return "any number of runs at a time"
    return "1 run at a time" if slots == 1 else f"{slots} runs at a time"


def give_back_lost_slots(client: SyncPrefectClient, deployments: list[Any]) -> list[str]:
    """Free slots of deployments' limits that no run holds any more; says which.

    A server that keeps its leases in memory forgets with a restart who held a slot, and never gives it back.
    """
    freed = []
    for deployment in deployments:
        limit = deployment.global_concurrency_limit
        if limit is None or not limit.active_slots:
            continue
        held = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id]),
                state={"type": FlowRunFilterStateType(any_=HOLDING)},
            )
        )
        if len(held) < limit.active_slots:
            client.update_global_concurrency_limit(limit.name, _slots(len(held)))
            freed.append(f"gave back {limit.active_slots - len(held)} lost slot of {deployment.name}")
    return freed


def _slots(number: int) -> Any:
    from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate

    return GlobalConcurrencyLimitUpdate(active_slots=number)
