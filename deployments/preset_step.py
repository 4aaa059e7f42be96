"""A build step of prefect.yaml: values that a deployment takes from a preset and from this machine.

build:
  - deployments.preset_step.read_preset: {id: preset, preset: demo}
parameters: {config: "{{ preset.config }}", workspace: "{{ preset.workspace }}"}
"""

import os
from importlib.metadata import version
from pathlib import Path

from deployments.configuration import load_config
from tasks.settings import ExperimentConfig
from tasks.settings.training import ZERO_IS_NONE

WORKSPACE_VARIABLE = "RSVLM_WORKSPACE"


def read_preset(preset: str) -> dict[str, object]:
    """The values of a preset for the run form, the workspace and rsvlm's version.

    A relative data folder becomes absolute, since workers start runs in temporary folders.
    """
    config = load_config(preset)
    values = form_values(config)
    if config.data.root is not None:
        values["data"]["root"] = str(config.data.root.absolute())
    return {"config": values, "workspace": str(workspace()), "version": version("rsvlm")}


def form_values(config: ExperimentConfig) -> dict[str, dict[str, object]]:
    """The settings as a deployment's form offers them: an empty field has no value, and Prefect refuses null there."""
    values: dict[str, dict[str, object]] = config.model_dump(mode="json", exclude_none=True)
    # without a value they would have their defaults
    for name in ZERO_IS_NONE:
        values["training"].setdefault(name, 0)
    return values


def workspace() -> Path:
    """The folder of all runs: $RSVLM_WORKSPACE, or `workspace` in the current folder."""
    return Path(os.environ.get(WORKSPACE_VARIABLE) or "workspace").absolute()
