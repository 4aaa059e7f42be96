"""Load a LLaVA model, with or without an adapter, from directories."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import ModelError
from tasks.model.non_lora import read_non_lora
from tasks.paths import ADAPTER_CONFIG, ADAPTER_WEIGHTS, NON_LORA_WEIGHTS

PEFT_PREFIX = "base_model.model."


@dataclass(frozen=True)
class Reader:
    """What turns records into the model's input: tokenizer, image processor and the image's place."""

    tokenizer: Any
    image_processor: Any
    image_token_id: int
    image_tokens: int


@dataclass(frozen=True)
class LoadedModel(Reader):
    """A model ready to answer, on its device."""

    model: Any
    device: Any


def require_model_config(folder: Path) -> dict[str, Any]:
    """The config.json of a model directory; raises ModelError when it is missing or not LLaVA's."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder} holds no config.json: give the directory of a LLaVA model.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{folder}/config.json is damaged ({error}): copy the model again.") from None
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind != "llava":
        raise ModelError(
            f"{folder} holds a model of type {kind!r}, not a transformers LLaVA model: "
            "give a directory as llava-hf/llava-1.5-7b-hf has it."
        )
    return config


def load_reader(folder: Path) -> Reader:
    """Tokenizer and image processor of a model directory; the padding that it was trained with comes along."""
    from transformers import AutoTokenizer
    from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

    config = require_model_config(folder)
    for name in ("tokenizer_config.json", "preprocessor_config.json"):
        if not (folder / name).is_file() and not (folder / "processor_config.json").is_file():
            raise ModelError(f"{folder} lacks {name}: copy it from the base model.")
    try:
        vision = config["vision_config"]
        image_token_id = config.get("image_token_index") or config["image_token_id"]
        image_tokens = (vision["image_size"] // vision["patch_size"]) ** 2
    except KeyError as error:
        raise ModelError(f"{folder}/config.json lacks {error}: copy it from where the model was published.") from None
    return Reader(
        tokenizer=AutoTokenizer.from_pretrained(folder),
        image_processor=LlavaImageProcessorPil.from_pretrained(folder),
        image_token_id=int(image_token_id),
        image_tokens=image_tokens,
    )


def choose_device() -> Any:
    """The first GPU, or the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_dtype(name: str, device: Any) -> Any:
    """The torch type of a name; "auto": bfloat16 on a GPU, float32 on a CPU."""
    import torch

    if name == "auto":
        name = "bfloat16" if device.type == "cuda" else "float32"
    return getattr(torch, name)


def load_base(folder: Path, dtype: Any, **options: Any) -> Any:
    """The LLaVA model of a directory in evaluation mode; raises ModelError when its weights are not whole."""
    # what a file lacks transformers would fill with random values and a warning
    complete = {"output_loading_info": True, "ignore_mismatched_sizes": False}
    from safetensors import SafetensorError
    from transformers import LlavaForConditionalGeneration

    require_model_config(folder)
    try:
        model, found = LlavaForConditionalGeneration.from_pretrained(folder, dtype=dtype, **complete, **options)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"The weights of {folder} cannot be read ({error}): copy the model again.") from None
    if found["missing_keys"]:
        raise ModelError(f"{folder} lacks {sorted(found['missing_keys'])[0]}: copy the model again.")
    return model.eval()


def load_model(model: Path, adapter: Path | None = None, dtype: str = "auto") -> LoadedModel:
    """Load a model directory, put an adapter on it where given, and move it to the GPU or CPU."""
    device = choose_device()
    loaded = load_base(model, choose_dtype(dtype, device))
    if adapter is not None:
        loaded = apply_adapter(loaded, adapter)
    reader = load_reader(model)
    return LoadedModel(**vars(reader), model=loaded.to(device), device=device)


def apply_adapter(model: Any, adapter: Path, trainable: bool = False) -> Any:
    """Put a PEFT adapter and its projector on a base model; raises ModelError when either does not fit."""
    from peft import PeftModel
    from safetensors import SafetensorError

    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS, NON_LORA_WEIGHTS):
        if not (adapter / name).is_file():
            raise ModelError(f"{adapter} lacks {name}: give a complete checkpoint of a LoRA training.")
    try:
        tuned = PeftModel.from_pretrained(model, adapter, is_trainable=trainable, autocast_adapter_dtype=False)
    except (OSError, RuntimeError, TypeError, ValueError, SafetensorError) as error:
        raise ModelError(f"The adapter {adapter} is damaged or does not fit the base model: {error}") from None
    load_projector(tuned, adapter)
    return tuned


def load_projector(model: Any, adapter: Path) -> None:
    """Read non_lora_trainables.bin into a PEFT model; raises ModelError when a name or shape does not fit."""
    weights = read_non_lora(adapter)
    known = model.state_dict()
    strange = [name for name, value in weights.items() if name not in known or known[name].shape != value.shape]
    if strange:
        raise ModelError(f"{adapter}/{NON_LORA_WEIGHTS} does not fit the base model, first at {strange[0]}.")
    model.load_state_dict(weights, strict=False)
