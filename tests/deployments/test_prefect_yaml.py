"""prefect.yaml has deployments of all flows, with parameters that the flows accept."""

import json
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from prefect._internal.schemas.validators import validate_values_conform_to_schema
from prefect.server.events.schemas.automations import EventTrigger
from prefect.server.events.schemas.events import ReceivedEvent, Resource
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate
from prefect.utilities.templating import apply_values
from support.locations import REPO

from deployments.automations import FLOWS as OUR_FLOWS
from deployments.configuration import load_config, preset_names
from deployments.preset_step import WORKSPACE_VARIABLE, form_values, read_preset
from deployments.register import PREFECT_FILE, flow_of, pools_of, read_plan
from flows.experiment import experiment_flow
from tasks.settings import ArchiveConfig, ExperimentConfig
from tasks.storage.runs import Run
from tasks.storage.steps import ARCHIVED, SAVED, resource_of

# parts of prepare-data and of run-sweep
PARTS = {"fetch-data", "sweep-point"}
FLOWS = {
    path.stem.replace("_", "-")
    for path in (REPO / "flows").glob("*.py")
    if f"def {path.stem}_flow(" in path.read_text(encoding="utf-8")
}
PLAN: dict[str, Any] = yaml.safe_load(PREFECT_FILE.read_text(encoding="utf-8"))
DEPLOYMENTS: list[dict[str, Any]] = PLAN["deployments"]
NAMES = [f"{flow_of(deployment)}/{deployment['name']}" for deployment in DEPLOYMENTS]
each_deployment = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=NAMES)


def flow(deployment: dict[str, Any]) -> Any:
    module, _, name = deployment["entrypoint"].rpartition(".")
    return getattr(import_module(module), name)


def parameters_of(deployment: dict[str, Any]) -> dict[str, Any]:
    """The parameters as a run gets them."""
    (step,) = deployment["build"]
    (inputs,) = step.values()
    filled: dict[str, Any] = apply_values(deployment["parameters"], {"preset": read_preset(inputs["preset"])})
    return filled


def test_all_flows_are_deployed() -> None:
    assert {flow_of(deployment) for deployment in DEPLOYMENTS} == FLOWS - PARTS
    assert len(FLOWS) >= 10


def test_dead_runs_of_all_flows_are_detected() -> None:
    assert set(OUR_FLOWS) == FLOWS


def test_an_experiment_is_deployed_in_three_sizes() -> None:
    assert {name for name in NAMES if name.startswith("experiment/")} == {
        "experiment/demo: whole experiment",
        "experiment/real-cpu: whole experiment",
        "experiment/llava-1.5-7b-lora: whole experiment",
    }


def test_the_short_form_offers_the_values_of_its_preset() -> None:
    demo, reference = [parameters_of(each) for each in DEPLOYMENTS if flow_of(each) == "quick"]
    config = load_config("demo")
    assert (demo["data"], demo["base"], demo["lora_r"]) == ("", config.model.base, config.training.lora_r)
    assert reference["data"] == str(Path("data").absolute())
    assert (reference["lora_r"], reference["learning_rate"], reference["num_train_epochs"]) == (128, 1e-5, 10.1)


@each_deployment
def test_a_name_is_the_first_field_and_nothing_is_of_type_none(deployment: dict[str, Any]) -> None:
    form = parameter_schema(flow(deployment)).model_dump_for_openapi()
    first = min(form["properties"], key=lambda name: form["properties"][name]["position"])
    assert first in ("name", "run")
    assert '"type": "null"' not in json.dumps([form["properties"], form.get("definitions")])


def test_names_of_deployments_are_unique() -> None:
    assert len(set(NAMES)) == len(NAMES)


@each_deployment
def test_a_deployment_starts_the_flow_of_its_name(deployment: dict[str, Any]) -> None:
    assert flow(deployment).name == flow_of(deployment)


@each_deployment
def test_a_deployment_is_described_versioned_and_tagged(deployment: dict[str, Any]) -> None:
    assert deployment["description"].endswith(".")
    assert deployment["version"] == "{{ preset.version }}"
    assert deployment["tags"][0] == "rsvlm" and deployment["work_pool"]["name"] in deployment["tags"]


@each_deployment
def test_the_flow_takes_the_parameters(deployment: dict[str, Any]) -> None:
    given, takes = parameters_of(deployment), parameter_schema(flow(deployment))
    assert set(given) <= set(takes.properties)
    # what has no default and is not given, a person fills in
    lacking = set(takes.required) - set(given)
    values = {**given, **dict.fromkeys(lacking)}
    if not lacking:
        flow(deployment).validate_parameters(values)
        validate(values, takes.model_dump_for_openapi(), raise_on_error=True)


@each_deployment
def test_every_parameter_is_described_in_the_form(deployment: dict[str, Any]) -> None:
    properties = parameter_schema(flow(deployment)).properties
    assert [name for name, field in properties.items() if not field.get("description")] == []


def test_a_checkpoint_that_is_saved_starts_its_archive() -> None:
    (archive,) = [each for each in DEPLOYMENTS if flow_of(each) == "archive-checkpoint"]
    (trigger,) = archive["triggers"]
    assert trigger["expect"] == ["rsvlm.checkpoint.saved"]
    assert trigger["match"] == {"prefect.resource.id": "rsvlm.checkpoint.*"}
    assert trigger["parameters"] == {"run": "{{ event.payload.run }}", "step": "{{ event.payload.step }}"}


@pytest.mark.parametrize(("what", "images", "starts"), [(ARCHIVED, 8, True), (ARCHIVED, 0, False), (SAVED, 8, False)])
def test_only_an_archived_checkpoint_of_a_run_with_scoring_starts_score_checkpoint(
    what: str, images: int, starts: bool
) -> None:
    (scores,) = [each for each in DEPLOYMENTS if flow_of(each) == "score-checkpoint"]
    (trigger,) = scores["triggers"]
    run = Run(
        name="a",
        workspace_root=REPO,
        store_uri="file:///a",
        store_name="a",
        archive=ArchiveConfig(score_images=images),
    )
    event = ReceivedEvent(
        id=uuid4(),
        occurred=datetime.now(UTC),
        event=f"rsvlm.checkpoint.{what}",
        resource=Resource(resource_of(what, run, 300)),
    )
    listening = EventTrigger(posture="Reactive", match=trigger["match"], expect=trigger["expect"])
    assert listening.covers(event) is starts
    assert trigger["parameters"] == {"run": "{{ event.payload.run }}", "step": "{{ event.payload.step }}"}


def test_score_runs_wait_for_a_gpu_in_a_separate_queue() -> None:
    (scores,) = [each for each in DEPLOYMENTS if flow_of(each) == "score-checkpoint"]
    assert (scores["work_pool"]["name"], scores["work_pool"]["work_queue_name"]) == ("gpu", "scores")
    assert scores["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
    # in one pool for all that uses GPUs shares their slots
    (shared,) = [each for each in read_plan("lab")["deployments"] if flow_of(each) == "score-checkpoint"]
    assert (shared["work_pool"]["name"], shared["work_pool"]["work_queue_name"]) == ("lab", "gpu")


def test_a_reevaluation_is_scheduled_in_a_time_zone_and_off_until_a_run_is_named() -> None:
    (nightly,) = [each for each in DEPLOYMENTS if flow_of(each) == "reevaluate"]
    (schedule,) = nightly["schedules"]
    assert schedule["cron"] == "0 3 * * *" and not schedule["active"]
    assert f"at 03:00 in {schedule['timezone']}" in nightly["description"]
    assert nightly["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}


def test_paths_of_a_preset_start_from_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(WORKSPACE_VARIABLE, "runs-here")
    read = read_preset("real-cpu")
    assert read["config"]["data"]["root"] == str(tmp_path / "data")
    assert read["workspace"] == str(tmp_path / "runs-here")


@pytest.mark.parametrize("preset", preset_names())
def test_the_form_offers_the_settings_of_a_preset_without_null(preset: str) -> None:
    config = load_config(preset, ["inference.api.extra={temperature: null}"])
    values = form_values(config)
    assert ExperimentConfig.model_validate(values) == config
    assert None not in [value for section in values.values() for value in section.values()]
    schema = parameter_schema(experiment_flow).model_dump_for_openapi()
    validate_values_conform_to_schema({"config": values}, schema)
    # a run may be given all settings, as Python writes them
    validate({"config": config.as_plain()}, schema, raise_on_error=True)


def test_the_work_pool_option_replaces_both_pools() -> None:
    assert pools_of(read_plan()) == ["cpu", "gpu"]
    assert pools_of(read_plan("lab")) == ["lab"]
