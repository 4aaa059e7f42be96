"""Base job templates are valid for Prefect, and the jobs they create for Kubernetes' schema."""

from typing import Any, get_args

import kubernetes_validate
import pytest
from prefect.server.schemas.actions import WorkPoolCreate
from prefect.utilities.templating import apply_values, find_placeholders

from deployments.pools import PoolType, template_of

TYPES = get_args(PoolType)
KUBERNETES = "1.33"


def defaults_of(template: dict[str, Any]) -> dict[str, Any]:
    properties = template["variables"]["properties"]
    return {name: field["default"] for name, field in properties.items() if "default" in field}


def job(**values: Any) -> dict[str, Any]:
    """The job that a Kubernetes worker creates for a run."""
    template = template_of("kubernetes")
    given = {"name": "a-run", "labels": {}, "command": ["prefect", "flow-run", "execute"], "env": [], **values}
    made: dict[str, Any] = apply_values(
        template["job_configuration"]["job_manifest"], {**defaults_of(template), **given}
    )
    return made


def pod(**values: Any) -> dict[str, Any]:
    spec: dict[str, Any] = job(**values)["spec"]["template"]["spec"]
    return spec


@pytest.mark.parametrize("pool_type", TYPES)
def test_prefect_accepts_the_template(pool_type: str) -> None:
    WorkPoolCreate(name="pool", type=pool_type, base_job_template=template_of(pool_type))


@pytest.mark.parametrize("pool_type", TYPES)
def test_every_variable_is_used_and_described(pool_type: str) -> None:
    template = template_of(pool_type)
    used = {found.name for found in find_placeholders(str(template["job_configuration"]))}
    assert used == set(template["variables"]["properties"])
    assert all(field["description"] for field in template["variables"]["properties"].values())


@pytest.mark.parametrize("pool_type", TYPES)
def test_runs_send_heartbeats(pool_type: str) -> None:
    assert defaults_of(template_of(pool_type))["env"] == {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}


def test_a_job_is_valid_against_the_schema_of_kubernetes() -> None:
    kubernetes_validate.validate(job(), KUBERNETES, strict=True)
    kubernetes_validate.validate(
        job(node_selector={"pool": "a100"}, cpu_request="8", memory_limit="64Gi"), KUBERNETES, strict=True
    )


def test_the_schema_refuses_an_invalid_job() -> None:
    wrong = job()
    wrong["spec"]["template"]["spec"]["containers"] = "rsvlm"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_a_pod_has_its_gpus_memory_workspace_and_secret() -> None:
    spec = pod(gpus=4, shared_memory="32Gi", workspace_claim="lab", secret="keys", node_selector={"pool": "a100"})
    (container,) = spec["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 4
    assert spec["volumes"][1]["emptyDir"] == {"medium": "Memory", "sizeLimit": "32Gi"}
    assert spec["volumes"][0]["persistentVolumeClaim"] == {"claimName": "lab"}
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/workspace", "/dev/shm"]
    assert container["envFrom"] == [{"secretRef": {"name": "keys", "optional": True}}]
    assert spec["nodeSelector"] == {"pool": "a100"}


def test_a_pod_may_run_on_spot_nodes_and_has_time_to_save() -> None:
    spec = pod()
    assert {"nvidia.com/gpu", "cloud.google.com/gke-spot"} <= {taint["key"] for taint in spec["tolerations"]}
    assert spec["terminationGracePeriodSeconds"] >= 60
    # a pod that is lost is started again as a run, from its checkpoint, not as a pod
    assert job()["spec"]["backoffLimit"] == 0


def test_a_container_has_gpus_and_shared_memory() -> None:
    template = template_of("docker")
    made = apply_values(template["job_configuration"]["container_create_kwargs"], defaults_of(template))
    assert made["shm_size"] == "16g"
    assert made["device_requests"] == [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}]
