"""Everything that rsvlm has on a Prefect server, made or brought up to date; twice is the same as once."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from pydantic import BaseModel, ConfigDict

from deployments.automations import OURS, automations, save
from deployments.pools import PoolType, ensure_pool, ensure_queue, give_back_lost_slots
from deployments.preset_step import WORKSPACE_VARIABLE
from deployments.result_storage import save_bucket
from tasks.errors import RsvlmError
from tasks.processes import child_environment

PREFECT_FILE = Path(__file__).with_name("prefect.yaml")
TAG, GPU = "rsvlm", "gpu"


class Wishes(BaseModel):
    """What a person asks of a deployment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workspace: Path
    work_pool: str | None = None
    pool_type: PoolType = "process"
    gpu_slots: int | None = None
    resume_crashed: bool = False
    notify: str | None = None
    reevaluate: str | None = None
    results: str | None = None
    endpoint_url: str | None = None
    region: str | None = None
    prune: bool = False


def deploy(wishes: Wishes) -> Iterator[str]:
    """Work pools, limits, blocks, deployments and automations; yields a line for each thing done.

    Raises ConfigError where something is asked for that is not there.
    """
    plan = read_plan(wishes.work_pool)
    if wishes.reevaluate:
        _schedule_reevaluation(plan, wishes.reevaluate)
    with get_client(sync_client=True) as client:
        # looked up before anything is made
        wanted = automations(client, wishes.resume_crashed, wishes.notify)
        block = save_bucket(wishes.results, wishes.endpoint_url, wishes.region) if wishes.results else None
        if block:
            yield f"saved the block {block}: results are kept below {wishes.results}"
        yield from _ensure_pools(client, plan, wishes)
        yield from _deploy_all(plan, wishes, block)
        for automation in wanted:
            yield save(client, automation)
        there = [found for found in client.read_deployments() if TAG in found.tags]
        yield from give_back_lost_slots(client, there)
        if wishes.prune:
            yield from _prune(client, plan, {automation.name for automation in wanted})


def read_plan(work_pool: str | None = None) -> dict[str, Any]:
    """prefect.yaml, with all deployments on one pool where that is asked for."""
    plan: dict[str, Any] = yaml.safe_load(PREFECT_FILE.read_text(encoding="utf-8"))
    if work_pool:
        for deployment in plan["deployments"]:
            place = deployment["work_pool"]
            queue = {"work_queue_name": GPU} if place["name"] == GPU else {}
            deployment["work_pool"] = {**place, **queue, "name": work_pool}
    return plan


def _schedule_reevaluation(plan: dict[str, Any], run: str) -> None:
    for deployment in plan["deployments"]:
        if flow_of(deployment) == "reevaluate":
            deployment["parameters"] = {**deployment["parameters"], "run": run}
            deployment["schedules"] = [{**schedule, "active": True} for schedule in deployment["schedules"]]


def pools_of(plan: dict[str, Any]) -> list[str]:
    """The names of the work pools that a plan needs."""
    return sorted({deployment["work_pool"]["name"] for deployment in plan["deployments"]})


def _ensure_pools(client: SyncPrefectClient, plan: dict[str, Any], wishes: Wishes) -> Iterator[str]:
    """The pools, and a limit for runs on GPUs: of the pool that is theirs, or of their queue in a pool for all."""
    slots, asked = wishes.gpu_slots or 1, wishes.gpu_slots is not None
    for name in pools_of(plan):
        limited = name == GPU
        yield ensure_pool(client, name, wishes.pool_type, slots if limited else None, limited and asked)
    if wishes.work_pool:
        yield ensure_queue(client, wishes.work_pool, GPU, slots, asked)


def _deploy_all(plan: dict[str, Any], wishes: Wishes, block: str | None) -> Iterator[str]:
    if block:
        for deployment in plan["deployments"]:
            variables = deployment["work_pool"].get("job_variables", {})
            env = {**variables.get("env", {}), "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": block}
            deployment["work_pool"] = {**deployment["work_pool"], "job_variables": {**variables, "env": env}}
    with _written(plan) as file:
        run = subprocess.run(  # noqa: S603 - a list of arguments, no shell
            [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)],
            env=child_environment({WORKSPACE_VARIABLE: str(wishes.workspace)}),
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
    if run.returncode:
        raise RsvlmError(f"`prefect deploy` ended with {run.returncode}:\n{run.stdout}{run.stderr}")
    for deployment in plan["deployments"]:
        yield f"deployed {flow_of(deployment)}/{deployment['name']} on {deployment['work_pool']['name']}"


@contextmanager
def _written(plan: dict[str, Any]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rsvlm-deploy-") as folder:
        file = Path(folder) / "prefect.yaml"
        file.write_text(yaml.safe_dump(plan, sort_keys=False, allow_unicode=True), encoding="utf-8")
        yield file


def flow_of(deployment: dict[str, Any]) -> str:
    """The name of the flow that a deployment of prefect.yaml starts."""
    return str(deployment["entrypoint"].split(".")[-2]).replace("_", "-")


def _prune(client: SyncPrefectClient, plan: dict[str, Any], wanted: set[str]) -> Iterator[str]:
    """Remove our deployments that the plan does not name, and our automations of no deployment or other names."""
    named = {(flow_of(deployment), deployment["name"]) for deployment in plan["deployments"]}
    for deployment in client.read_deployments():
        flow = client.read_flow(deployment.flow_id).name
        if TAG in deployment.tags and (flow, deployment.name) not in named:
            client.delete_resource_owned_automations(f"prefect.deployment.{deployment.id}")
            client.delete_deployment(deployment.id)
            yield f"removed the deployment {flow}/{deployment.name}"
    kept = wanted | {trigger["name"] for each in plan["deployments"] for trigger in each.get("triggers", [])}
    for automation in client.read_automations():
        if automation.name.startswith(OURS) and automation.name not in kept:
            client.delete_automation(automation.id)
            yield f"removed the automation {automation.name!r}"
