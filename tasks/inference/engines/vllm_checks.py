"""Check, before a run, that vLLM can be started, is given images as the model takes them, and finds its tensors."""

from pathlib import Path

from tasks.errors import ModelError
from tasks.inference.engines.registry import DEFAULT_ENGINE
from tasks.inference.engines.vllm_process import find_python
from tasks.model.families import family_of
from tasks.model.stored_model import StoredModel
from tasks.settings import InferenceConfig


def require(config: InferenceConfig, model: Path | None) -> None:
    """Raise ConfigError without an environment with vLLM, and ModelError for a model that vLLM cannot be given."""
    find_python(config.vllm_python)
    if model is not None:
        family = family_of(model)
        if not family.vllm:
            raise ModelError(
                f"{model} is a {family.name}, whose images the engine vllm does not hand over: set inference.engine to "
                f"{DEFAULT_ENGINE}."
            )
        _require_names(family.read_stored(model))


def _require_names(stored: StoredModel) -> None:
    """transformers 5 leaves a level out of the vision tower's names, and vLLM looks for the published ones."""
    names = stored.names
    for name, tensor in stored.tensors.items():
        if names.is_tower(name) and tensor.name != names.published(name) and tensor.name != name:
            raise ModelError(
                f"{stored.folder} has the tensor {tensor.name}, which vLLM only finds as {names.published(name)}: "
                "merge an adapter into it with `rsvlm merge --format transformers`, which writes the published names, "
                f"or set inference.engine to {DEFAULT_ENGINE}."
            )
