"""Create or update everything that rsvlm needs on a Prefect server; idempotent."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NotRequired, TypedDict
from urllib.parse import urlsplit
from uuid import UUID

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from pydantic import BaseModel, ConfigDict, JsonValue

from deployments.automations import OURS, automations, save
from deployments.pools import PoolType, ensure_pool, ensure_queue, release_lost_slots
from deployments.preset_step import WORKSPACE_VARIABLE
from tasks.errors import ConfigError, RsvlmError
from tasks.processes import child_environment

PREFECT_FILE = Path(__file__).with_name("prefect.yaml")
TAG, GPU = "rsvlm", "gpu"
RESULTS_BLOCK, RESULTS_FOLDER = "rsvlm-results", "prefect-results"


class JobVariables(TypedDict, total=False):
    """How a work pool starts the runs of a deployment."""

    stream_output: bool
    env: dict[str, str]


class Pool(TypedDict):
    """The work pool of a deployment."""

    name: str
    work_queue_name: NotRequired[str]
    job_variables: NotRequired[JobVariables]


class Deployment(TypedDict):
    """What `rsvlm deploy` reads or changes of a deployment."""

    name: str
    entrypoint: str
    work_pool: Pool
    parameters: dict[str, JsonValue]
    schedules: NotRequired[list[dict[str, JsonValue]]]
    triggers: NotRequired[list[dict[str, JsonValue]]]


class DeploymentPlan(TypedDict):
    """The content of prefect.yaml."""

    deployments: list[Deployment]


class DeployOptions(BaseModel):
    """The options of `rsvlm deploy`."""

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


def deploy(options: DeployOptions) -> Iterator[str]:
    """Create or update work pools, limits, blocks, deployments and automations; yields one line per change and a hint.

    Raises ConfigError if a block or package that the options need is missing, or a pool has another type.
    """
    plan = read_plan(options.work_pool)
    if options.reevaluate:
        _schedule_reevaluation(plan, options.reevaluate)
    with get_client(sync_client=True) as client:
        # before anything is created: the notification block may be missing
        wanted = automations(client, options.resume_crashed, options.notify)
        block = save_bucket(options.results, options.endpoint_url, options.region) if options.results else None
        if block:
            yield f"saved the block {block}: results are stored in {options.results}"
        yield from _ensure_pools(client, plan, options)
        yield from _deploy_all(plan, options, block)
        for automation in wanted:
            yield save(client, automation)
        ours = [found for found in client.read_deployments() if TAG in found.tags]
        yield from release_lost_slots(client, ours)
        if options.prune:
            yield from _prune(client, plan, {automation.name for automation in wanted})
        elif names := [name for name, _ in _outdated(client, plan)]:
            yield f"left from another version: {', '.join(names)}; remove with --prune"
    pools = sorted({deployment["work_pool"]["name"] for deployment in plan["deployments"]})
    yield f"next: start a worker for {' and for '.join(pools)}: .venv/bin/prefect worker start --pool {pools[0]}"


def read_plan(work_pool: str | None = None) -> DeploymentPlan:
    """prefect.yaml as a dictionary; with `work_pool`, all deployments are on that pool."""
    plan: DeploymentPlan = yaml.safe_load(PREFECT_FILE.read_text(encoding="utf-8"))
    if work_pool:
        for deployment in plan["deployments"]:
            pool: Pool = {**deployment["work_pool"], "name": work_pool}
            if deployment["work_pool"]["name"] == GPU:
                pool["work_queue_name"] = GPU
            deployment["work_pool"] = pool
    return plan


def _schedule_reevaluation(plan: DeploymentPlan, run: str) -> None:
    for deployment in plan["deployments"]:
        if flow_of(deployment) == "reevaluate":
            deployment["parameters"] = {**deployment["parameters"], "run": run}
            deployment["schedules"] = [{**schedule, "active": True} for schedule in deployment["schedules"]]


def pools_of(plan: DeploymentPlan) -> list[str]:
    """The names of the work pools that a plan needs."""
    return sorted({deployment["work_pool"]["name"] for deployment in plan["deployments"]})


def _ensure_pools(client: SyncPrefectClient, plan: DeploymentPlan, options: DeployOptions) -> Iterator[str]:
    """Create the pools, and limit the runs on GPUs: in their own pool, or in their queue of a shared pool."""
    slots, asked = options.gpu_slots or 1, options.gpu_slots is not None
    for name in pools_of(plan):
        limited = name == GPU
        yield ensure_pool(client, name, options.pool_type, slots if limited else None, limited and asked)
    if options.work_pool:
        yield ensure_queue(client, options.work_pool, GPU, slots, asked)


def save_bucket(store_uri: str, endpoint_url: str | None, region: str | None) -> str:
    """Save an S3Bucket block for results in the store and return its slug and name.

    The block holds no keys: each machine uses its own AWS configuration. Raises ConfigError if prefect-aws is not
    installed or the URI is not a bucket.
    """
    parts = urlsplit(store_uri)
    if parts.scheme != "s3":
        raise ConfigError(f"{store_uri} is not a bucket: give s3://bucket/prefix.")
    try:
        from prefect_aws import AwsCredentials, S3Bucket
        from prefect_aws.client_parameters import AwsClientParameters
    except ImportError:
        raise ConfigError(
            "Results in a bucket need the package prefect-aws: pip install -c infra/constraints.txt -e '.[s3]'"
        ) from None
    bucket = S3Bucket(
        bucket_name=parts.netloc,
        bucket_folder="/".join(part for part in (parts.path.strip("/"), RESULTS_FOLDER) if part),
        credentials=AwsCredentials(
            region_name=region, aws_client_parameters=AwsClientParameters(endpoint_url=endpoint_url)
        ),
    )
    bucket.save(RESULTS_BLOCK, overwrite=True)
    return f"s3-bucket/{RESULTS_BLOCK}"


def _deploy_all(plan: DeploymentPlan, options: DeployOptions, block: str | None) -> Iterator[str]:
    if block:
        for deployment in plan["deployments"]:
            variables = deployment["work_pool"].get("job_variables", {})
            env = {**variables.get("env", {}), "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": block}
            deployment["work_pool"] = {**deployment["work_pool"], "job_variables": {**variables, "env": env}}
    with _written(plan) as file:
        run = subprocess.run(  # noqa: S603 - a list of arguments, no shell
            [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)],
            env=child_environment({WORKSPACE_VARIABLE: str(options.workspace)}),
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
    if run.returncode:
        raise RsvlmError(f"`prefect deploy` ended with {run.returncode}:\n{run.stdout}{run.stderr}")
    for deployment in plan["deployments"]:
        yield f"deployed {_full_name(deployment)} on {deployment['work_pool']['name']}{_schedules_of(deployment)}"


def _schedules_of(deployment: Deployment) -> str:
    """The schedules of a deployment with their time zones, as the end of a line."""
    return "".join(
        f", scheduled at {each['cron']} in {each['timezone']}{'' if each['active'] else ', off'}"
        for each in deployment.get("schedules", [])
    )


@contextmanager
def _written(plan: DeploymentPlan) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rsvlm-deploy-") as folder:
        file = Path(folder) / "prefect.yaml"
        file.write_text(yaml.safe_dump(plan, sort_keys=False, allow_unicode=True), encoding="utf-8")
        yield file


def flow_of(deployment: Deployment) -> str:
    """The name of the flow that a deployment of prefect.yaml starts."""
    return str(deployment["entrypoint"].split(".")[-2]).replace("_", "-")


def _outdated(client: SyncPrefectClient, plan: DeploymentPlan) -> list[tuple[str, UUID]]:
    """Name, as FLOW/DEPLOYMENT, and id of rsvlm's deployments that this version does not define."""
    defined = {_full_name(deployment) for deployment in plan["deployments"]}
    found = [each for each in client.read_deployments() if TAG in each.tags]
    named = [(f"{client.read_flow(each.flow_id).name}/{each.name}", each.id) for each in found]
    return [(name, deployment_id) for name, deployment_id in named if name not in defined]


def _full_name(deployment: Deployment) -> str:
    return f"{flow_of(deployment)}/{deployment['name']}"


def _prune(client: SyncPrefectClient, plan: DeploymentPlan, wanted: set[str]) -> Iterator[str]:
    """Remove rsvlm's deployments and automations that this version does not define."""
    for name, deployment_id in _outdated(client, plan):
        client.delete_resource_owned_automations(f"prefect.deployment.{deployment_id}")
        client.delete_deployment(deployment_id)
        yield f"removed the deployment {name}"
    kept = wanted | {trigger["name"] for each in plan["deployments"] for trigger in each.get("triggers", [])}
    for automation in client.read_automations():
        if automation.name.startswith(OURS) and automation.name not in kept:
            client.delete_automation(automation.id)
            yield f"removed the automation {automation.name!r}"
