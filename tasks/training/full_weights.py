"""All weights of a model in a checkpoint, under the names by which any version of transformers reads them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.errors import ModelError
from tasks.model.adapters import has_tied_head
from tasks.model.formats import canonical_name, published_name
from tasks.model.weights import read_tensors, weight_files


def published_weights(model: Any, state: Mapping[str, Any] | None) -> dict[str, Any]:
    """What `save_pretrained` is to write, by published name: the model's weights, or what DeepSpeed put together."""
    # else transformers renames them as it thinks that it renamed the base's, which leaves out a level of the tower
    model._weight_conversions = []
    return {published_name(name): value for name, value in (model.state_dict() if state is None else state).items()}


def note_ties(model: Any) -> None:
    """Say in both of a model's configurations whether its head is the embedding: each version reads one of them."""
    tied = has_tied_head(model)
    for config in (model.config, model.config.get_text_config()):
        config.tie_word_embeddings = tied


def load_weights(model: Any, folder: Path) -> None:
    """Put a checkpoint's weights into a model of the same shape; raises ModelError where one is lacking."""
    lacking = {name for name, _ in model.named_parameters()}
    for file in weight_files(folder):
        weights = {canonical_name(name): value for name, value in read_tensors(file).items()}
        model.load_state_dict(weights, strict=False)
        lacking -= weights.keys()
    if lacking:
        raise ModelError(f"{folder} lacks {min(lacking)}: resume from an older checkpoint.")
