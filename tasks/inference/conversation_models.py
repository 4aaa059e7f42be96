"""The models that talk: one alone, or a base model and its tuned form in the memory of one."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from tasks.model.adapters import apply_adapter, require_adapter
from tasks.model.formats import PEFT_PREFIX, canonical_name
from tasks.model.loading import LoadedModel, choose_device, choose_dtype, load_base, load_model, load_reader
from tasks.model.non_lora import read_non_lora

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
    as well. `base` holds the base's tensors by canonical name, those that the adapter has replaced.
    """

    def __init__(self, model: Any, base: dict[str, Any]):
        self._model, self._lock, self._tuned = model, Lock(), True
        parameters = dict(model.named_parameters())
        self._exchanged = [(parameters[PEFT_PREFIX + name], value) for name, value in base.items()]

    @contextmanager
    def shown_as(self, tuned: bool) -> Iterator[None]:
        """Let the model be the tuned one or the base while the context lasts; others wait."""
        with self._lock:
            if tuned != self._tuned:
                self._switch(tuned)
            yield

    def _switch(self, tuned: bool) -> None:
        # not PEFT's disable_adapter(): it walks over all weights each time, and this may be done for each token
        layers = self._model.base_model
        (layers.enable_adapter_layers if tuned else layers.disable_adapter_layers)()
        for place, (parameter, other) in enumerate(self._exchanged):
            self._exchanged[place] = (parameter, parameter.data)
            parameter.data = other
        self._tuned = tuned


def load_speakers(model: Path, adapter: Path | None = None, dtype: str = "auto") -> tuple[Speaker, ...]:
    """The model of a directory; with an adapter the base model and the tuned one, whose weights are in memory once.

    Each prepares images as its own directory says. Raises ModelError as load_model does.
    """
    if adapter is None:
        return (Speaker("model", load_model(model, dtype=dtype)),)
    require_adapter(adapter)
    device = choose_device()
    readers = [load_reader(model), load_reader(model, adapter)]
    loaded = load_base(model, choose_dtype(dtype, device))
    base = _replaced_tensors(loaded, adapter)
    tuned = apply_adapter(loaded, adapter).to(device)
    weights = SharedWeights(tuned, {name: value.to(device) for name, value in base.items()})
    return tuple(
        Speaker(name, LoadedModel(**vars(reader), model=tuned, device=device), partial(weights.shown_as, name == TUNED))
        for name, reader in zip((BASE, TUNED), readers, strict=True)
    )


def _replaced_tensors(model: Any, adapter: Path) -> dict[str, Any]:
    """Copies of the base's tensors that an adapter brings anew; a name of neither is apply_adapter's to refuse."""
    parameters = dict(model.named_parameters())
    names = map(canonical_name, read_non_lora(adapter))
    return {name: parameters[name].detach().clone() for name in names if name in parameters}
