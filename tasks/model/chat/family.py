"""Any model that transformers loads as AutoModelForImageTextToText, with the prompt of its own chat template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.choices import Layout
from tasks.errors import ConfigError
from tasks.manifests import folder_digest
from tasks.model.chat.loading import load_base, read_stored, require_config, require_loadable, with_defaults
from tasks.model.chat.published import CONFIGS
from tasks.model.family import AboutModel, Prefilled, SeparateTower, require_known_layout
from tasks.model.inputs import ImageInputs
from tasks.model.processor import Processor
from tasks.model.shape import ModelShape
from tasks.model.stored_model import Slot, StoredModel
from tasks.model.tensor_names import TensorNames
from tasks.records import ModelRef
from tasks.settings import ModelConfig

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# settings of LLaVA 1.5: a generic family takes prompts and pixels from its processor files
LLAVA_SETTINGS = ("vision_tower", "mm_vision_select_layer", "image_aspect_ratio")
# axes of Qwen's rotary positions: time, height and width
AXES = 3
LOADING = """```python
from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained("path/of/this/directory")
processor = AutoProcessor.from_pretrained("path/of/this/directory", backend="pil")
```
The prompt is that of the directory's chat template: `processor.apply_chat_template`.
"""


@dataclass(frozen=True)
class ChatFamily:
    """A family by its name, its `model_type`s in config.json and the names of its tensors.

    `language_model` is the prefix of the language model's modules. `causal`: no token sees a later one.
    `rotates_in_3d`: an image's tokens have positions in height and width (M-RoPE), so that the text after it continues
    at a position below its index. `first_position` is that of the first token.
    `cuts_images`: an image larger than the tower's input is cut into tiles, and not scaled down.
    """

    name: str
    model_types: tuple[str, ...]
    names: TensorNames
    several_images: bool = True
    dialogues: bool = True
    language_model: str = "model.language_model."
    causal: bool = True
    rotates_in_3d: bool = False
    first_position: int = 0
    cuts_images: bool = True
    layouts: tuple[Layout, ...] = ("transformers",)
    zero3: bool = True
    # it is given pixels in the form of LLaVA 1.5 alone
    vllm: bool = False

    def recognises(self, config: Mapping[str, object]) -> bool:
        return config.get("model_type") in self.model_types

    def layout(self, config: Mapping[str, object]) -> Layout:
        return "transformers"

    def read_config(self, folder: Path, tower: Path | None = None) -> dict[str, Any]:
        return require_config(folder)

    def max_positions(self, config: Mapping[str, Any]) -> int:
        return int(with_defaults(config)["text_config"]["max_position_embeddings"])

    def shape(self, config: Mapping[str, Any]) -> ModelShape:
        from tasks.model.chat.shape import shape_of

        return shape_of(config, self.names, self.language_model, self.cuts_images)

    def require_loadable(self, folder: Path, tower: Path | None = None) -> None:
        require_loadable(folder, self.names)

    def load_base(self, folder: Path, dtype: "torch.dtype", **options: Any) -> "PreTrainedModel":
        return load_base(folder, self.names, dtype, **options)

    def load_processor(self, folder: Path, adapter: Path | None = None, tower: Path | None = None) -> Processor:
        from tasks.model.chat.processor import load_chat_processor

        return load_chat_processor(folder, adapter, self.several_images, self.dialogues)

    def training_processor(self, folder: Path, config: ModelConfig) -> Processor:
        self.require_settings(folder, config)
        return self.load_processor(folder)

    def require_settings(self, folder: Path, config: ModelConfig, tower: Path | None = None) -> None:
        for name in LLAVA_SETTINGS:
            if getattr(config, name) != (default := ModelConfig.model_fields[name].default):
                value = "empty" if default is None else default
                raise ConfigError(
                    f"model.{name} is {getattr(config, name)}, a setting of LLaVA 1.5, and {folder} is a {self.name}: "
                    f"leave it {value}."
                )

    def tower(self, folder: Path, config: ModelConfig) -> SeparateTower:
        return SeparateTower()

    def text_processor(self, folder: Path) -> Processor:
        return self.load_processor(folder)

    def require_layout(self, model: StoredModel, layout: Layout) -> None:
        require_known_layout(self.name, self.layouts, layout)

    def published_shape(self, name: str) -> ModelShape | None:
        config = CONFIGS.get(name)
        return self.shape(config) if config is not None and self.recognises(config) else None

    def configured_base(self, folder: Path, config: ModelConfig, models: Path) -> ModelRef:
        self.require_settings(folder, config)
        return ModelRef(path=folder, sha256=self.digest(folder))

    def digest(self, folder: Path) -> str:
        return folder_digest(folder)

    def lora_targets(self, model: "PreTrainedModel") -> list[str]:
        from tasks.model.chat.shape import linear_layers

        return list(linear_layers(model, self.language_model))

    def shares_prefix(self, config: Mapping[str, Any]) -> bool:
        text = config["text_config"]
        kinds = text.get("layer_types")
        # without a list, a window is that of all layers
        full = set(kinds) == {"full_attention"} if kinds else text.get("sliding_window") is None
        return self.causal and full

    def positions(self, text: "torch.Tensor") -> "torch.Tensor":
        return text.expand(AXES, *text.shape) if self.rotates_in_3d else text

    def prefill(
        self, model: "PreTrainedModel", processor: Processor, ids: Sequence[int], images: Sequence[ImageInputs]
    ) -> Prefilled:
        from tasks.model.chat.prefill import prefill

        return prefill(model, processor, ids, images, self.first_position)

    def read_stored(self, folder: Path, tower: Path | None = None) -> StoredModel:
        return read_stored(folder, self.names)

    def slots(self, model: StoredModel, layout: Layout) -> dict[str, Slot]:
        from tasks.model.chat.config_files import slots

        return slots(model)

    def config_files(self, source: StoredModel, tuned: Path) -> dict[str, Path]:
        from tasks.model.chat.config_files import config_files

        return config_files(source, tuned)

    def write_config_files(
        self, source: StoredModel, tuned: Path, layout: Layout, dtype: str, folders: tuple[Path, Path]
    ) -> None:
        from tasks.model.chat.config_files import write_config_files

        write_config_files(source, tuned, dtype, folders[0])

    def about(self, layout: Layout) -> AboutModel:
        return AboutModel(self.name, "transformers", LOADING)
