"""The work pools of rsvlm: created once; later changes by users are kept."""

from collections.abc import Iterable
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

from tasks.choices import PoolType
from tasks.errors import ConfigError
from tasks.files import read_json

TEMPLATES = Path(__file__).with_name("work_pools")
HOLDING = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


def template_of(pool_type: str) -> dict[str, object]:
    """The base job template of a pool of this type."""
    template: dict[str, object] = read_json(TEMPLATES / f"{pool_type}.json")
    return template


def ensure_pool(client: SyncPrefectClient, name: str, pool_type: PoolType, slots: int | None, asked: bool) -> str:
    """Create a work pool if it does not exist; returns a line that reports the change.

    `slots` is the maximum of concurrent runs. The server counts pending, running and cancelling runs, so a slot is free
    when its run ends, even if the worker has died. In an existing pool only the slots are changed, and only if `asked`.
    Raises ConfigError if the pool has another type.
    """
    try:
        found = client.read_work_pool(name)
    except ObjectNotFound:
        template = template_of(pool_type)
        client.create_work_pool(
            WorkPoolCreate(name=name, type=pool_type, base_job_template=template, concurrency_limit=slots)
        )
        return f"created the work pool {name} of type {pool_type}, limit: {_limit(slots)}"
    if found.type != pool_type:
        raise ConfigError(
            f"The work pool {name} is of type {found.type}, not {pool_type}: give --type {found.type}, "
            "or another --work-pool."
        )
    if asked and found.concurrency_limit != slots:
        client.update_work_pool(name, WorkPoolUpdate(concurrency_limit=slots))
        return f"changed the work pool {name}, limit: {_limit(slots)}"
    return f"kept the work pool {name}, limit: {_limit(found.concurrency_limit)}"


def ensure_queue(client: SyncPrefectClient, pool: str, name: str, slots: int, asked: bool) -> str:
    """Create a queue in a pool for the runs that share its GPUs; returns a line that reports the change.

    `slots` and `asked` as in `ensure_pool`; runs in the pool's other queues do not count.
    """
    try:
        found = client.read_work_queue_by_name(name, work_pool_name=pool)
    except ObjectNotFound:
        client.create_work_queue(name, concurrency_limit=slots, work_pool_name=pool)
        return f"created the work queue {pool}/{name}, limit: {_limit(slots)}"
    if asked and found.concurrency_limit != slots:
        client.update_work_queue(found.id, concurrency_limit=slots)
        return f"changed the work queue {pool}/{name}, limit: {_limit(slots)}"
    return f"kept the work queue {pool}/{name}, limit: {_limit(found.concurrency_limit)}"


def _limit(slots: int | None) -> str:
    if slots is None:
        return "none"
    return "1 run at a time" if slots == 1 else f"{slots} runs at a time"


def release_lost_slots(client: SyncPrefectClient, deployments: Iterable[DeploymentResponse]) -> list[str]:
    """Release slots of deployments' limits that no run holds; returns one line per deployment.

    A server that keeps its leases in memory loses them on a restart, and never releases the slots.
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
            client.update_global_concurrency_limit(limit.name, GlobalConcurrencyLimitUpdate(active_slots=len(held)))
            freed.append(f"released {limit.active_slots - len(held)} lost slots of {deployment.name}")
    return freed
