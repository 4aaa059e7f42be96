"""Flow quick: an experiment from six settings; the preset in its deployment's name gives all others."""

import json
from typing import Annotated, Any

from prefect.context import FlowRunContext
from pydantic import Field

from deployments.configuration import load_config, name_after
from deployments.preset_step import workspace
from flows.decorators import flow, this_deployment
from flows.experiment import experiment_flow
from tasks.records import ExperimentResult
from tasks.settings import ExperimentConfig

DEMO = "demo"


def _title() -> str:
    context = FlowRunContext.get()
    assert context is not None and context.parameters is not None
    return _name_of_run(**context.parameters)


@flow(name="quick", flow_run_name=_title, persist_result=True, result_serializer="json")
def quick_flow(
    name: str = "",
    data: str = "",
    base: str = "tiny",
    lora_r: Annotated[int, Field(ge=1, le=1024)] = 64,
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 2e-3,
    num_train_epochs: Annotated[float, Field(gt=0, le=1000)] = 6.0,
) -> ExperimentResult:
    """Run an experiment from the data folder to the report, with the settings of the preset but for these.

    Args:
        name: The run's name: its folder in the workspace and in the store. Empty: the preset's name, with a digest
            appended if settings were changed.
        data: Data folder on the worker, with instructions_raw.json or dataset.json and imagenes/. Empty: draw sample
            data.
        base: Directory or Hugging Face Hub name of the base model, e.g. llava-hf/llava-1.5-7b-hf; tiny and tiny-qwen
            are toys.
        lora_r: Rank of the LoRA adapters, from 1 to 1024; typically 8 to 128. The preset's ratio of lora_alpha to the
            rank is kept.
        learning_rate: Peak learning rate of the trained weights, above 0 to 1; typically 1e-5 to 4e-3.
        num_train_epochs: Epochs, which are passes over the training set, above 0 to 1000; fractions are allowed.
    """
    settings: dict[str, Any] = {"data": data, "base": base, "lora_r": lora_r, "learning_rate": learning_rate}
    settings["num_train_epochs"] = num_train_epochs
    # not as a flow of its own: one run has one page
    return experiment_flow.fn(_config(**settings), _name_of_run(name, **settings), workspace())


def _name_of_run(name: str, **settings: Any) -> str:
    """The name, or the preset's with a digest appended if the settings differ from those that the form offers."""
    if name:
        return name
    deployment = this_deployment()
    if deployment is None:
        return name_after(DEMO, _config(**settings).as_plain(), load_config(DEMO).as_plain())
    offered = {each: deployment.parameters.get(each, value) for each, value in settings.items()}
    return name_after(deployment.preset, _config(**settings).as_plain(), _config(**offered).as_plain())


def _preset() -> str:
    deployment = this_deployment()
    return deployment.preset if deployment else DEMO


def _config(data: str, base: str, lora_r: int, learning_rate: float, num_train_epochs: float) -> ExperimentConfig:
    preset = _preset()
    training = load_config(preset).training
    values = {
        "data.root": data or None,
        "model.base": base,
        "training.lora_r": lora_r,
        "training.lora_alpha": lora_r * training.lora_alpha / training.lora_r,
        "training.learning_rate": learning_rate,
        "training.num_train_epochs": num_train_epochs,
    }
    return load_config(preset, [f"{path}={json.dumps(value)}" for path, value in values.items()])
