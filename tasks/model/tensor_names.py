"""Tensor names of a model family: the canonical ones, and those of files and adapters.

The canonical name is the module path in the version of transformers that is installed. Both language models and vision
towers of all families are below `model.`, and PEFT's wrapper is left out.
"""

from collections.abc import Callable
from dataclasses import dataclass

PEFT_PREFIX = "base_model.model."


def _same(name: str) -> str:
    return name.removeprefix(PEFT_PREFIX)


def _no_older_names(module: str) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class TensorNames:
    """How a family names its tensors; prefixes and whole names are canonical.

    `projector` are the prefixes of the modules between tower and language model, `tower` those of the vision tower.
    `projector_matrix` is one of the projector's matrices. `buffers` are ends of names of tensors that follow from the
    configuration. `canonical` takes a name in a file, a module tree or an adapter, `published` gives the name in the
    files on the hub, and `older_modules` the names of a module in earlier versions.
    """

    projector: tuple[str, ...]
    tower: tuple[str, ...]
    projector_matrix: str
    embedding: str = "model.language_model.embed_tokens.weight"
    head: str = "lm_head.weight"
    buffers: tuple[str, ...] = ("rotary_emb.inv_freq", "embeddings.position_ids")
    canonical: Callable[[str], str] = _same
    published: Callable[[str], str] = _same
    older_modules: Callable[[str], tuple[str, ...]] = _no_older_names

    def is_projector(self, name: str) -> bool:
        """Whether a parameter, by its canonical name or its name in a PEFT model, belongs to the projector."""
        return self.canonical(name).startswith(self.projector)

    def is_tower(self, name: str) -> bool:
        """Whether a parameter belongs to the vision tower, and not to a projector inside it."""
        canonical = self.canonical(name)
        return canonical.startswith(self.tower) and not canonical.startswith(self.projector)
