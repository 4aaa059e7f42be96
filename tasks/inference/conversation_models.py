"""The models that talk: one alone, or a base model and its tuned form in the memory of one."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from tasks.model.adapters import put_on, replaced_parameters, require_adapter, require_made_for
from tasks.model.formats import Projector
from tasks.model.loading import LoadedModel, choose_device, choose_dtype, load_base, load_model, load_reader

BASE, TUNED = "base", "tuned"


@dataclass(frozen=True)
class Speaker:
    """A model by name; whatever is computed with it is computed within `at_work()`, step by step."""

    name: str
    loaded: LoadedModel
    at_work: Callable[[], AbstractContextManager[None]] = nullcontext


class SharedWeights:
    """One PEFT model that is the tuned model or its base, for one thread at a time.

    An adapter is more than LoRA: the projector, and whatever else its training trained in full, is exchanged
    as well. `replaced` holds the parameters that the adapter has replaced, each with the base's values.
    """

    def __init__(self, model: Any, replaced: list[tuple[Any, Any]]):
        from peft import PeftModel

        self._lock, self._tuned = Lock(), True
        # an adapter of embeddings alone has no layers beside the model's
        self._layers = model.base_model if isinstance(model, PeftModel) else None
        self._exchanged = replaced

    @contextmanager
    def shown_as(self, tuned: bool) -> Iterator[None]:
        """Let the model be the tuned one or the base while the context lasts; others wait."""
        with self._lock:
            if tuned != self._tuned:
                self._switch(tuned)
            yield

    def _switch(self, tuned: bool) -> None:
        # not PEFT's disable_adapter(): it walks over all weights each time, and this may be done for each token
        if self._layers is not None:
            (self._layers.enable_adapter_layers if tuned else self._layers.disable_adapter_layers)()
        for place, (parameter, other) in enumerate(self._exchanged):
            self._exchanged[place] = (parameter, parameter.data)
            parameter.data = other
        self._tuned = tuned


def load_speakers(
    model: Path, adapter: Path | None = None, dtype: str = "auto", projector: Projector = "adapter"
) -> tuple[Speaker, ...]:
    """The model of a directory; with an adapter the base model and the tuned one, whose weights are in memory once.

    Each prepares images as its own directory says. Raises ModelError as load_model does.
    """
    if adapter is None:
        return (Speaker("model", load_model(model, dtype=dtype)),)
    lora = require_adapter(adapter, projector)
    device = choose_device()
    readers = [load_reader(model), load_reader(model, adapter)]
    loaded = load_base(model, choose_dtype(dtype, device))
    require_made_for(lora, loaded, projector)
    replaced = [
        (parameter, parameter.detach().to(device, copy=True))
        for parameter in replaced_parameters(loaded, lora).values()
    ]
    tuned = put_on(loaded, lora).to(device)
    weights = SharedWeights(tuned, replaced)
    return tuple(
        Speaker(name, LoadedModel(**vars(reader), model=tuned, device=device), partial(weights.shown_as, name == TUNED))
        for name, reader in zip((BASE, TUNED), readers, strict=True)
    )
