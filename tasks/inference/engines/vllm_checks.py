"""Check, before a run, that vLLM can be started and finds the tensors of the model by their names."""

from pathlib import Path

from tasks.errors import ModelError
from tasks.inference.engines.registry import DEFAULT_ENGINE
from tasks.inference.engines.vllm_process import find_python
from tasks.model.families import family_of
from tasks.settings import InferenceConfig


def require(config: InferenceConfig, model: Path | None) -> None:
    """Raise ConfigError without an environment with vLLM, and ModelError for tensor names that vLLM does not read."""
    find_python(config.vllm_python)
    if model is not None:
        _require_names(model)


def _require_names(model: Path) -> None:
    """transformers 5 leaves a level out of the vision tower's names, and vLLM looks for the published ones."""
    stored = family_of(model).read_stored(model)
    names = stored.names
    for name, tensor in stored.tensors.items():
        if names.is_tower(name) and tensor.name != names.published(name) and tensor.name != name:
            raise ModelError(
                f"{model} has the tensor {tensor.name}, which vLLM only finds as {names.published(name)}: merge an "
                f"adapter into it with `rsvlm merge --format transformers`, which writes the published names, or set "
                f"inference.engine to {DEFAULT_ENGINE}."
            )
