"""A build step of prefect.yaml: values that a deployment takes from a preset and from this machine.

build:
  - deployments.preset_step.read_preset: {id: preset, preset: demo}
parameters: {config: "{{ preset.config }}", workspace: "{{ preset.workspace }}"}
"""

import os
from importlib.metadata import version
from pathlib import Path

from deployments.configuration import load_config

WORKSPACE_VARIABLE = "RSVLM_WORKSPACE"


def read_preset(preset: str) -> dict[str, object]:
    """The values of a preset for the run form, the workspace and rsvlm's version.

    A relative data folder becomes absolute, since workers start runs in temporary folders.
    """
    config = load_config(preset)
    plain = config.as_plain()
    if config.data.root is not None:
        plain["data"]["root"] = str(config.data.root.absolute())
    return {"config": plain, "workspace": str(workspace()), "version": version("rsvlm")}


def workspace() -> Path:
    """The folder of all runs: $RSVLM_WORKSPACE, or `workspace` in the current folder."""
    return Path(os.environ.get(WORKSPACE_VARIABLE) or "workspace").absolute()
