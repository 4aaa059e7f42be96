"""The seam: everything that differs between model families.

All other rooms use a model through the ModelFamily of its directory (`tasks.model.families.family_of`). Nothing outside
`tasks/model` asks which family it is.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tasks.choices import Layout
from tasks.errors import ModelError
from tasks.model.inputs import ImageInputs
from tasks.model.processor import Processor
from tasks.model.shape import ModelShape
from tasks.model.tensor_names import TensorNames
from tasks.records import ModelRef
from tasks.settings import ModelConfig

if TYPE_CHECKING:
    import torch
    from transformers import Cache, PreTrainedModel

    # it imports torch, which the parent of a training must not
    from tasks.model.stored_model import Slot, StoredModel


class Prefilled(NamedTuple):
    """Keys and values of B prompts, the logits (B, vocab) after their last tokens, and next positions (B,) int64."""

    cache: "Cache"
    logits: "torch.Tensor"
    next_positions: "torch.Tensor"


class AboutModel(NamedTuple):
    """Texts for a model card: the family's name, the layout in words, and how to load and prompt the model."""

    family: str
    layout: str
    loading: str


class SeparateTower(NamedTuple):
    """A vision tower in a directory of its own: its name and directory; no name for a model that contains its tower."""

    name: str = ""
    folder: Path | None = None

    @property
    def is_missing(self) -> bool:
        """Whether the model needs it and it is not on this machine."""
        return bool(self.name) and self.folder is None

    def error(self, model: Path) -> ModelError:
        """The error for a model in the directory `model` whose tower cannot be found."""
        return ModelError(
            f"The vision tower {self.name!r} of {model} is not on this machine: put its directory next to the model as "
            f"{model.parent / Path(self.name).name}, or, in an experiment, set model.vision_tower to it."
        )


def require_known_layout(family: str, layouts: tuple[Layout, ...], layout: Layout) -> None:
    """Raise ModelError if `layout` is not one of the layouts of a family, which is given by its name."""
    if layout not in layouts:
        raise ModelError(
            f"{family} has no layout {layout}: merge it with --format {layouts[0]}, or set merging.format={layouts[0]}."
        )


class ModelFamily(Protocol):
    """What a family knows of its models; directories are checked, and errors are ModelError unless named."""

    # as reports and docs call it, e.g. "LLaVA 1.5"
    name: str
    names: TensorNames
    # whether a record may show more than one image
    several_images: bool
    # whether a conversation may have more than one round of question and answer
    dialogues: bool
    # layouts in which a merged model can be written
    layouts: tuple[Layout, ...]
    # whether a training with ZeRO-3 was seen to equal one in a single process
    zero3: bool
    # whether the engine vllm answers with its merged models
    vllm: bool

    def recognises(self, config: Mapping[str, object]) -> bool:
        """Whether a directory with this config.json is of this family."""
        ...

    def layout(self, config: Mapping[str, object]) -> Layout:
        """The layout of a directory with this config.json."""
        ...

    def read_config(self, folder: Path, tower: Path | None = None) -> dict[str, Any]:
        """The checked configuration of a directory in transformers' form; `tower` overrides an original model's."""
        ...

    def max_positions(self, config: Mapping[str, Any]) -> int:
        """The longest sequence in tokens; `config` is read_config's."""
        ...

    def shape(self, config: Mapping[str, Any]) -> ModelShape:
        """Sizes and numbers of parameters, without weights; `config` is a config.json of the family."""
        ...

    def require_loadable(self, folder: Path, tower: Path | None = None) -> None:
        """Raise ModelError for a model that cannot be loaded, trained or run, before a weight is read."""
        ...

    def load_base(self, folder: Path, dtype: "torch.dtype", **options: Any) -> "PreTrainedModel":
        """Load a model in evaluation mode; `options` go to from_pretrained. Under ZeRO-3 each rank keeps its part."""
        ...

    def load_processor(self, folder: Path, adapter: Path | None = None, tower: Path | None = None) -> Processor:
        """Load the processor of a directory; images are prepared as the adapter says, or else the model."""
        ...

    def training_processor(self, folder: Path, config: ModelConfig) -> Processor:
        """The base's processor with an experiment's settings, to be saved with every checkpoint.

        Raises ConfigError if they do not fit the model.
        """
        ...

    def require_settings(self, folder: Path, config: ModelConfig, tower: Path | None = None) -> None:
        """Raise ConfigError if an experiment's model settings do not fit this base."""
        ...

    def tower(self, folder: Path, config: ModelConfig) -> SeparateTower:
        """The separate vision tower of a base, looked up on this machine alone."""
        ...

    def text_processor(self, folder: Path) -> Processor:
        """A processor for text alone, of a base whose separate tower is not on this machine."""
        ...

    def require_layout(self, model: "StoredModel", layout: Layout) -> None:
        """Raise ModelError if a model cannot be written in that layout."""
        ...

    def published_shape(self, name: str) -> ModelShape | None:
        """The shape of a published model by its name on the hub; None for names that are not known."""
        ...

    def configured_base(self, folder: Path, config: ModelConfig, models: Path) -> ModelRef:
        """The model with the settings of an experiment: `folder` itself, or a view of links under `models`."""
        ...

    def digest(self, folder: Path) -> str:
        """SHA-256 in hex over all files that decide a model's answers."""
        ...

    def lora_targets(self, model: "PreTrainedModel") -> str | list[str]:
        """The language model's linear layers, as PEFT's target_modules; never the tower, the projector or the head."""
        ...

    def shares_prefix(self, config: Mapping[str, Any]) -> bool:
        """Whether rows can share the keys and values of a prefix: causal attention without a window.

        `config` is read_config's.
        """
        ...

    def positions(self, text: "torch.Tensor") -> "torch.Tensor":
        """Positions (rows, length) int64 of text tokens, in the shape that the model takes as `position_ids`."""
        ...

    def prefill(
        self, model: "PreTrainedModel", processor: Processor, ids: Sequence[int], images: Sequence[ImageInputs]
    ) -> Prefilled:
        """Run B prompts that differ in their image alone; `ids` (T,) hold its expanded tokens, `images` one a row."""
        ...

    def read_stored(self, folder: Path, tower: Path | None = None) -> "StoredModel":
        """Read configuration and tensor headers; ModelError if incomplete, damaged or of another family."""
        ...

    def slots(self, model: "StoredModel", layout: Layout) -> "dict[str, Slot]":
        """Where each tensor is written in a directory of that layout, by canonical name."""
        ...

    def config_files(self, source: "StoredModel", tuned: Path) -> dict[str, Path]:
        """The files next to a model's weights by name, in base or checkpoint; ModelError if a needed one is missing."""
        ...

    def write_config_files(
        self, source: "StoredModel", tuned: Path, layout: Layout, dtype: str, folders: tuple[Path, Path]
    ) -> None:
        """Write all files but weights, card and provenance to the first of `folders`, later renamed to the second.

        `dtype` is a torch dtype's name or "base".
        """
        ...

    def about(self, layout: Layout) -> AboutModel:
        """What the card of a merged model in that layout says of the family."""
        ...
