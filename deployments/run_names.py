"""The name of a run that nobody has named, from within its flow."""

from functools import cache
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.responses import DeploymentResponse
from prefect.context import FlowRunContext
from pydantic import BaseModel, ValidationError

from deployments.configuration import name_after
from tasks.settings import ExperimentConfig

UNNAMED = "experiment"


def default_run_name(config: ExperimentConfig, **more: BaseModel) -> str:
    """The deployment's name, with a digest where the settings are not the ones that its form offers.

    The deployments of prefect.yaml bear the names of their presets, so that the form and the command line name a run
    alike. `more` are further settings of the flow, by parameter.
    """
    context = FlowRunContext.get()
    deployment_id = context.flow_run.deployment_id if context and context.flow_run else None
    given = _plain(config.of_first_machine(), more)
    if deployment_id is None:
        return name_after(UNNAMED, given, None)
    deployment = _deployment(deployment_id)
    return name_after(deployment.name, given, _offered(deployment.parameters, more))


def _offered(parameters: dict[str, Any], more: dict[str, BaseModel]) -> Any:
    """What the form of a deployment offers; None where it is of another version's settings."""
    try:
        config = ExperimentConfig.model_validate(parameters["config"])
        return _plain(config, {name: type(value).model_validate(parameters[name]) for name, value in more.items()})
    except (KeyError, ValidationError):
        return None


def _plain(config: ExperimentConfig, more: dict[str, BaseModel]) -> Any:
    plain = config.as_plain()
    # as on the command line, where there is nothing else
    return [plain, {name: value.model_dump(mode="json") for name, value in more.items()}] if more else plain


@cache
def _deployment(deployment_id: UUID) -> DeploymentResponse:
    with get_client(sync_client=True) as client:
        return client.read_deployment(deployment_id)
