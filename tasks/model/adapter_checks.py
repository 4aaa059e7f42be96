"""Check that an adapter fits a base: it brings a projector, and the base has its names and shapes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.choices import Projector
from tasks.errors import ModelError
from tasks.model.adapter_files import Adapter


@dataclass(frozen=True)
class BaseShapes:
    """Shapes of a base's weights by canonical name, and whether head and embedding are tied."""

    name: Path
    shapes: Mapping[str, tuple[int, ...]]
    tied: bool


def require_projector(adapter: Adapter, projector: Projector, names: Collection[str] = ()) -> None:
    """Raise ModelError unless the adapter has a projector, or none if the base's is to be used.

    `names` are the base's projector tensors, if known: a projector that was trained in full must be complete.
    """
    found = sorted(name for name in adapter.changed if adapter.names.is_projector(name))
    matrices = [name for name in found if name.endswith(".weight")]
    in_full = any(name in adapter.trained for name in matrices)
    missing = [] if matrices else [adapter.names.projector_matrix]
    missing += sorted(set(names) - set(found)) if in_full else []
    if missing and projector == "adapter":
        raise ModelError(
            f"{adapter.folder.name} lacks the projector ({missing[0]}): give the final adapter of that run, or, if "
            "training left the base's projector unchanged, as plain PEFT does, give --projector base."
        )
    if not missing and names and projector == "base":
        raise ModelError(f"{adapter.folder.name} has its own projector ({found[0]}): leave --projector base out.")


def require_fitting(adapter: Adapter, base: BaseShapes) -> None:
    """Raise ModelError if the adapter changes a tensor that the base lacks or has in another shape."""
    _require_untied(adapter, base)
    shapes = base.shapes
    trained_on = f" ({adapter.settings.base_name})" if adapter.settings.base_name else ""
    advice = f"give the base model that it was trained on{trained_on}"
    for name, shape in adapter.shapes:
        if name not in shapes:
            raise ModelError(f"{adapter.folder} changes {name}, which {base.name} does not have: {advice}.")
        if shape != shapes[name]:
            resized = name in (adapter.names.embedding, adapter.names.head) and shape[1:] == shapes[name][1:]
            more = f"; if training resized the vocabulary, that is the base after resize_token_embeddings({shape[0]})"
            raise ModelError(
                f"{name} is {list(shape)} in {adapter.folder} and {list(shapes[name])} in {base.name}: "
                f"{advice}{more if resized else ''}."
            )
    for name, rows in adapter.tokens.items():
        if name not in shapes or max(rows.numbers, default=0) >= shapes[name][0] or rows.width != shapes[name][1]:
            raise ModelError(f"{adapter.folder} changes rows of {name} that {base.name} does not have: {advice}.")


def _require_untied(adapter: Adapter, base: BaseShapes) -> None:
    """Raise ModelError if embedding or head changes and the base has one weight for both."""
    changed = {*adapter.pairs, *adapter.trained, *(adapter.tokens if adapter.names.head in adapter.tokens else ())}
    found = sorted(changed & {adapter.names.embedding, adapter.names.head})
    if base.tied and found:
        raise ModelError(
            f"{adapter.folder} changes {found[0]}, and {base.name} has one weight for embedding and head, which PEFT "
            "changes in one of them: use PEFT itself, or a base with tie_word_embeddings = false."
        )
