"""A model's tensors by canonical name, whichever of the two layouts and kinds of file its directory has."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tasks.errors import DataError, ModelError
from tasks.files import read_json
from tasks.merging.original_config import with_defaults
from tasks.model.checking import require_plain_weights
from tasks.model.configuration import read_model_config, require_model_config
from tasks.model.formats import EMBEDDING, HEAD, PROJECTOR_PREFIX, canonical_name
from tasks.model.original import BUFFERS, TOWER_PREFIX, find_tower, is_original, twice
from tasks.model.tensor_files import StoredTensor, read_bytes, read_tensors, require_float
from tasks.model.weights import find_weights, weight_files

Layout = Literal["transformers", "llava"]
NEEDED_CONFIG = ("text_config", "vision_config")
# a published CLIP brings a text tower along
_TOWER_PARTS = tuple(
    f"{TOWER_PREFIX}{part}" for part in ("embeddings.", "encoder.", "pre_layrnorm.", "post_layernorm.")
)


@dataclass(frozen=True)
class BaseModel:
    """A LLaVA model; `config` is its transformers configuration, `written` what its config.json says.

    The tensors of a vision tower that lies elsewhere (`tower`, in the original layout) are among them.
    """

    folder: Path
    layout: Layout
    written: dict[str, Any]
    config: dict[str, Any]
    tensors: dict[str, StoredTensor]
    tower: Path | None

    @property
    def files(self) -> list[Path]:
        """The files that hold the tensors."""
        return sorted({tensor.file for tensor in self.tensors.values()})

    @property
    def projector(self) -> set[str]:
        """Canonical names of the projector's tensors."""
        return {name for name in self.tensors if name.startswith(PROJECTOR_PREFIX)}

    @property
    def tied(self) -> bool:
        """Whether the head is the embedding, as transformers 5 decides: not where the files hold another head."""
        if not with_defaults(self.config).get("tie_word_embeddings"):
            return False
        head, embedding = self.tensors.get(HEAD), self.tensors.get(EMBEDDING)
        return head is None or embedding is None or read_bytes(head) == read_bytes(embedding)


def read_base(folder: Path, tower: Path | None = None) -> BaseModel:
    """Read configuration and headers of a model; ModelError when it is incomplete, damaged or no LLaVA 1.5.

    `tower` stands for the vision tower that an original model names.
    """
    written, config = read_model_config(folder), require_model_config(folder, tower)
    require_plain_weights(folder, written)
    lacking = [key for key in NEEDED_CONFIG if not isinstance(config.get(key), dict)]
    if lacking:
        raise ModelError(f"{folder}/config.json has no {lacking[0]}: copy it from where the model was published.")
    tensors = _tensors(folder, "")
    _require_indexed(folder, tensors)
    original = is_original(written)
    apart = original and not any(name.startswith(TOWER_PREFIX) for name in tensors)
    tower = (tower or find_tower(folder, written)) if apart else None
    if tower is not None:
        tensors |= {
            name: value for name, value in _tensors(tower, TOWER_PREFIX).items() if name.startswith(_TOWER_PARTS)
        }
    for name, tensor in tensors.items():
        if not name.endswith(BUFFERS):
            require_float(tensor)
    base = BaseModel(folder, "llava" if original else "transformers", written, config, tensors, tower)
    if not base.projector:
        raise ModelError(f"{folder} has no projector ({PROJECTOR_PREFIX}*): give the base that was trained on.")
    return base


def _tensors(folder: Path, prefix: str) -> dict[str, StoredTensor]:
    tensors: dict[str, StoredTensor] = {}
    for file in weight_files(folder):
        for tensor in read_tensors(file):
            name = canonical_name(prefix + tensor.name)
            if tensors.setdefault(name, tensor) is not tensor:
                raise twice(folder, tensor.name)
    return tensors


def index_of(folder: Path) -> Path | None:
    """The index of a model's shards, where it has one."""
    return find_weights(folder).index


def _require_indexed(folder: Path, tensors: dict[str, StoredTensor]) -> None:
    index = index_of(folder)
    if index is None:
        return
    try:
        named = set(read_json(index)["weight_map"].items())
    except (DataError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{index} is damaged: copy it again.") from None
    present = {(tensor.name, tensor.file.name) for tensor in tensors.values()}
    lost = sorted(named - present)
    if lost:
        raise ModelError(f"{folder} lacks {lost[0][0]} in {lost[0][1]}: copy the model again.")
