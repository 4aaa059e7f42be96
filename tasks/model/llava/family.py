"""LLaVA 1.5 as a model family, in transformers' layout and in the original one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.choices import Layout
from tasks.model.configuration import read_model_config
from tasks.model.family import AboutModel, Prefilled, SeparateTower
from tasks.model.inputs import ImageInputs
from tasks.model.llava import card
from tasks.model.llava.base_loading import load_base, require_loadable
from tasks.model.llava.config_files import config_files, write_config_files
from tasks.model.llava.configured_base import configured_base, model_digest, require_select_layer, require_tower_apart
from tasks.model.llava.model_config import require_model_config
from tasks.model.llava.model_tensors import read_base, slots
from tasks.model.llava.original_config import original_config, tower_name
from tasks.model.llava.original_layout import is_original, local_tower
from tasks.model.llava.processor import LlavaProcessor, load_processor, processor_without_tower
from tasks.model.llava.shape import published_shape, read_shape
from tasks.model.llava.tensor_names import NAMES
from tasks.model.processor import Processor
from tasks.model.shape import ModelShape
from tasks.model.stored_model import Slot, StoredModel
from tasks.records import ModelRef
from tasks.settings import ModelConfig

if TYPE_CHECKING:
    import torch
    from transformers import LlavaForConditionalGeneration, PreTrainedModel

# q, k, v, o, gate, up and down of every LLaMA layer; never CLIP, never lm_head.
LORA_TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
# transformers' default for a configuration that lacks it
POSITIONS = 2048


class LlavaFamily:
    """The reference: tokens, pixels, losses and weights equal those of the LLaVA reference."""

    name = "LLaVA 1.5"
    names = NAMES
    several_images = False
    dialogues = True
    layouts: tuple[Layout, ...] = ("transformers", "llava")
    zero3 = True
    vllm = True

    def recognises(self, config: Mapping[str, object]) -> bool:
        return config.get("model_type") == "llava" or is_original(dict(config))

    def layout(self, config: Mapping[str, object]) -> Layout:
        return "llava" if is_original(dict(config)) else "transformers"

    def read_config(self, folder: Path, tower: Path | None = None) -> dict[str, Any]:
        return require_model_config(folder, tower)

    def max_positions(self, config: Mapping[str, Any]) -> int:
        return int(config["text_config"].get("max_position_embeddings", POSITIONS))

    def shape(self, config: Mapping[str, Any]) -> ModelShape:
        return read_shape(config)

    def require_loadable(self, folder: Path, tower: Path | None = None) -> None:
        require_loadable(folder, tower)

    def load_base(self, folder: Path, dtype: "torch.dtype", **options: Any) -> "LlavaForConditionalGeneration":
        return load_base(folder, dtype, **options)

    def load_processor(self, folder: Path, adapter: Path | None = None, tower: Path | None = None) -> LlavaProcessor:
        return load_processor(folder, adapter, tower)

    def training_processor(self, folder: Path, config: ModelConfig) -> LlavaProcessor:
        """The base's processor, set to pad or crop images."""
        require_select_layer(folder, config)
        processor = load_processor(folder)
        processor.image_processor.do_pad = config.image_aspect_ratio == "pad"
        return processor

    def require_settings(self, folder: Path, config: ModelConfig, tower: Path | None = None) -> None:
        require_tower_apart(folder, config)
        require_select_layer(folder, config, tower)

    def tower(self, folder: Path, config: ModelConfig) -> SeparateTower:
        require_tower_apart(folder, config)
        written = read_model_config(folder)
        if not is_original(written):
            return SeparateTower()
        name = config.vision_tower
        return SeparateTower(name or tower_name(written), local_tower(folder, written, name))

    def text_processor(self, folder: Path) -> LlavaProcessor:
        return processor_without_tower(folder, read_shape(read_model_config(folder)).image_tokens)

    def require_layout(self, model: StoredModel, layout: Layout) -> None:
        if layout == "llava" and model.layout != layout:
            original_config(model.config, pads=True, tower="")

    def published_shape(self, name: str) -> ModelShape | None:
        return published_shape(name)

    def configured_base(self, folder: Path, config: ModelConfig, models: Path) -> ModelRef:
        return configured_base(folder, config, models)

    def digest(self, folder: Path) -> str:
        return model_digest(folder)

    def lora_targets(self, model: "PreTrainedModel") -> str:
        return LORA_TARGETS

    def shares_prefix(self, config: Mapping[str, Any]) -> bool:
        return True

    def positions(self, text: "torch.Tensor") -> "torch.Tensor":
        return text

    def prefill(
        self, model: "PreTrainedModel", processor: Processor, ids: Sequence[int], images: Sequence[ImageInputs]
    ) -> Prefilled:
        from tasks.model.llava.prefill import prefill

        return prefill(model, ids, processor.image_token_id, images)

    def read_stored(self, folder: Path, tower: Path | None = None) -> StoredModel:
        return read_base(folder, tower)

    def slots(self, model: StoredModel, layout: Layout) -> dict[str, Slot]:
        return slots(model, layout)

    def config_files(self, source: StoredModel, tuned: Path) -> dict[str, Path]:
        return config_files(source, tuned)

    def write_config_files(
        self, source: StoredModel, tuned: Path, layout: Layout, dtype: str, folders: tuple[Path, Path]
    ) -> None:
        write_config_files(source, tuned, layout, dtype, *folders)

    def about(self, layout: Layout) -> AboutModel:
        return AboutModel(self.name, card.LAYOUTS[layout], card.LOADING[layout] + card.PROMPT)


FAMILY = LlavaFamily()
