"""Manifests match their schemas, and named files exist; no image is built."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from support.locations import REPO

from deployments.configuration import load_config
from flows.cli import build_parser

INFRA = REPO / "infra"
MANIFESTS = sorted((INFRA / "kubernetes").glob("*.yaml"))
DOCKERFILES = sorted((INFRA / "docker").glob("*.Dockerfile"))
COMPOSE: dict[str, Any] = yaml.safe_load((INFRA / "compose.yaml").read_text(encoding="utf-8"))
WORKFLOW: dict[str, Any] = yaml.safe_load((REPO / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
KUBERNETES = "1.33"
EXTRAS = set(tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)$", (INFRA / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE))


def documents(*names: str) -> list[dict[str, Any]]:
    chosen = [INFRA / "kubernetes" / name for name in names] or MANIFESTS
    return [each for path in chosen for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def pods(value: Any) -> list[dict[str, Any]]:
    """Every pod's spec below a value."""
    if isinstance(value, dict):
        own = [value] if "containers" in value else []
        return own + [pod for inner in value.values() for pod in pods(inner)]
    return [pod for inner in value for pod in pods(inner)] if isinstance(value, list) else []


def parse(command: list[str]) -> Any:
    """The parsed arguments of a command; wrong arguments fail the test."""
    assert command[0] == "rsvlm"
    return build_parser().parse_args(command[1:])


@pytest.mark.parametrize(
    "manifest", [each for each in documents() if "ray.io" not in each["apiVersion"]], ids=lambda each: each["kind"]
)
def test_a_manifest_is_valid_against_the_schema_of_kubernetes(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_the_pods_of_the_ray_cluster_are_valid_against_the_schema_of_kubernetes() -> None:
    # KubeRay's own kinds are not in Kubernetes' schemas: of them only the pods are checked
    found = pods(documents("ray.yaml"))
    assert len(found) == 2
    for spec in found:
        made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ray"}, "spec": spec}
        kubernetes_validate.validate(made, KUBERNETES, strict=True)


def test_the_rendezvous_of_the_training_job_is_the_first_pod() -> None:
    service, job = documents("training-job.yaml")
    (container,) = pods(job)[0]["containers"]
    options = parse([word.replace("$(JOB_COMPLETION_INDEX)", "1") for word in container["command"]])
    training = load_config(options.preset, options.set).training
    assert training.nnodes == job["spec"]["completions"] == job["spec"]["parallelism"]
    assert training.nproc_per_node == container["resources"]["limits"]["nvidia.com/gpu"]
    assert training.node_rank == 1
    name, port = str(training.rdzv_endpoint).split(":")
    assert name == f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert int(port) == service["spec"]["ports"][0]["port"] == container["ports"][0]["containerPort"]
    assert pods(job)[0]["subdomain"] == service["metadata"]["name"] and service["spec"]["clusterIP"] == "None"
    assert job["spec"]["completionMode"] == "Indexed"


def test_the_ray_job_asks_for_as_many_processes_as_there_are_gpus() -> None:
    (ray,) = documents("ray.yaml")
    options = parse(shlex.split(ray["spec"]["entrypoint"]))
    config = load_config(options.preset, options.set)
    (group,) = ray["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert config.inference.workers == group["replicas"] and config.inference.ray_address


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_copies_existing_files_and_runs_without_root(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").split("\n")
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert copied and all((REPO / name).exists() for name in copied)
    assert "USER rsvlm" in lines and any("infra/constraints.txt" in line for line in lines if "pip install" in line)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_has_what_every_flow_needs(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    default = re.search(r"^ARG EXTRAS=(\S+)$", text, re.MULTILINE)
    (asked,) = re.findall(r"-e ['\"]\.\[([^\]]+)\]['\"]$", text, re.MULTILINE)
    extras = set((default[1] if default else asked).split(","))
    # sweeps, and Prefect's results in a bucket
    assert {"s3", "sweep"} <= extras <= EXTRAS


def test_versions_in_the_manifests_match_the_constraints() -> None:
    (worker,) = [each for each in documents("worker.yaml") if each["kind"] == "Deployment"]
    assert pods(worker)[0]["containers"][0]["image"].startswith(f"prefecthq/prefect:{PINS['prefect']}-")
    (ray,) = documents("ray.yaml")
    assert ray["spec"]["rayClusterSpec"]["rayVersion"] == PINS["ray"]


def test_the_training_image_brings_flash_attention_and_a_compiler_for_deepspeed() -> None:
    text = (INFRA / "docker" / "training.Dockerfile").read_text(encoding="utf-8")
    assert "flash-attn" in text and "--no-build-isolation" in text
    assert re.search(r"FROM nvidia/cuda:\S+-devel-", text) and "ninja-build" in text


def test_compose_has_a_server_on_postgresql_a_store_a_bucket_and_a_worker() -> None:
    # `docker compose config` is not available where this is tested: the structure is looked at instead
    services = COMPOSE["services"]
    assert set(services) == {"database", "server", "store", "bucket", "deploy", "worker"}
    assert services["server"]["environment"]["PREFECT_API_DATABASE_CONNECTION_URL"].startswith("postgresql+asyncpg://")
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        assert "image" in service
        mounted = {volume.split(":")[0] for volume in service.get("volumes", [])}
        assert mounted <= set(COMPOSE["volumes"])
        for name, need in service.get("depends_on", {}).items():
            assert need["condition"] != "service_healthy" or "healthcheck" in services[name]
    built = {service["build"]["dockerfile"] for service in services.values() if "build" in service}
    assert all((REPO / name).is_file() for name in built)
    assert all((INFRA / file).is_file() for file in services["server"]["env_file"])


def test_the_commands_of_compose_exist() -> None:
    options = parse(COMPOSE["services"]["deploy"]["command"])
    assert options.results.startswith("s3://")


def test_ports_of_compose_are_open_to_this_machine_only() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports and all(port.startswith("127.0.0.1:") for port in ports)


def test_no_file_holds_a_secret() -> None:
    files = [*INFRA.rglob("*"), REPO / "prefect.yaml", *(REPO / ".github").rglob("*.yml")]
    names = "password|secret_access_key|access_key_id|token|api_key"
    secret = re.compile(rf"(?im)^[^#\n:=]*(?:{names})[ \t]*[:=][ \t]*(\S.*)$")
    said = {match[1].strip() for path in files if path.is_file() for match in secret.finditer(path.read_text("utf-8"))}
    assert said and all(value.startswith("${") for value in said)


def test_continuous_integration_runs_the_make_commands() -> None:
    (job,) = WORKFLOW["jobs"].values()
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs == ["make check", "make test", "make test-slow", "make demo"]
