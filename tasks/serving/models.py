"""The models that answer on the page and in the chat: one alone, or a base model and its tuned form sharing memory."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from tasks.choices import Projector
from tasks.model.adapters import put_on, replaced_parameters, require_adapter, require_made_for
from tasks.model.families import family_of
from tasks.model.loading import LoadedModel, choose_device, choose_dtype, load_model
from tasks.serving.model_names import adapter_name, model_name

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel

BASE, TUNED = "base", "tuned"


@dataclass(frozen=True)
class ServedModel:
    """A loaded model by name; every computation runs within `activate()`, one step at a time.

    `title` is the name that people know, of the model's or adapter's directory.
    """

    name: str
    loaded: LoadedModel
    activate: Callable[[], AbstractContextManager[None]] = nullcontext
    title: str = ""


class SharedWeights:
    """One PEFT model that acts as the tuned model or as its base, for one thread at a time.

    An adapter is more than LoRA: the projector and all other modules that its training trained in full are exchanged
    too. `replaced` holds the parameters that the adapter has replaced, each with the base's values on the same device.
    """

    def __init__(self, model: "PreTrainedModel | PeftModel", replaced: "list[tuple[torch.nn.Parameter, torch.Tensor]]"):
        from peft import PeftModel

        self._lock, self._is_tuned = Lock(), True
        # an adapter that only has embeddings adds no layers
        self._layers = model.base_model if isinstance(model, PeftModel) else None
        self._exchanged = replaced

    @contextmanager
    def activate(self, tuned: bool) -> Iterator[None]:
        """Make the model the tuned one or the base within the context; other threads wait."""
        with self._lock:
            if tuned != self._is_tuned:
                self._switch(tuned)
            yield

    def _switch(self, tuned: bool) -> None:
        # not PEFT's disable_adapter(): it walks over all weights, and this may run for each token
        if self._layers is not None:
            (self._layers.enable_adapter_layers if tuned else self._layers.disable_adapter_layers)()
        for index, (parameter, other) in enumerate(self._exchanged):
            self._exchanged[index] = (parameter, parameter.data)
            parameter.data = other
        self._is_tuned = tuned


def load_served_models(
    model: Path, adapter: Path | None = None, dtype: str = "auto", projector: Projector = "adapter"
) -> tuple[ServedModel, ...]:
    """Load the model of a directory; with an adapter the base and the tuned model, which share their weights.

    Each prepares images as its own directory says. Raises ModelError as load_model does.
    """
    if adapter is None:
        return (ServedModel("model", load_model(model, dtype=dtype), title=model_name(model)),)
    family = family_of(model)
    lora = require_adapter(adapter, family.names, projector)
    device = choose_device()
    processors = [family.load_processor(model), family.load_processor(model, adapter)]
    loaded = family.load_base(model, choose_dtype(dtype, device))
    require_made_for(lora, loaded, projector)
    replaced = [
        (parameter, parameter.detach().to(device, copy=True))
        for parameter in replaced_parameters(loaded, lora).values()
    ]
    tuned = put_on(loaded, lora).to(device)
    weights = SharedWeights(tuned, replaced)
    titles = model_name(model), adapter_name(adapter)
    return tuple(
        ServedModel(
            name, LoadedModel(tuned, device, processor, family), partial(weights.activate, name == TUNED), title
        )
        for name, processor, title in zip((BASE, TUNED), processors, titles, strict=True)
    )
