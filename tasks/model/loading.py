"""Load a LLaVA model of either layout, with or without an adapter, from directories."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import ModelError
from tasks.model.adapters import put_on, require_adapter, require_made_for
from tasks.model.checking import image_tokens_of, require_loadable
from tasks.model.configuration import read_config, read_model_config, read_settings, readable, require_model_config
from tasks.model.formats import Projector
from tasks.model.original import find_tower, is_original, original_tensors
from tasks.model.tokenizing import load_original_tokenizer, load_tokenizer
from tasks.model.trying import try_image_handling, try_tokenizer

PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"


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


def load_reader(folder: Path, adapter: Path | None = None, tower: Path | None = None) -> Reader:
    """Tokenizer and image processor of a model directory; images are padded as the adapter, or else the model, says.

    `tower` stands for the vision tower that an original model names.
    """
    from transformers import LlavaConfig

    written, config = read_model_config(folder), require_model_config(folder, tower)
    original = is_original(written)
    if not original:
        _require_reader_files(folder)
    with readable("configuration", folder):
        # the tokenizer's own reader reads it too, and would be taken for the fault
        LlavaConfig.from_dict(config)
        image_token_id = int(config.get("image_token_index") or config["image_token_id"])
    reader = Reader(
        tokenizer=tokenizer_of(folder, original),
        image_processor=load_image_processor(folder, adapter, tower),
        image_token_id=image_token_id,
        image_tokens=image_tokens_of(folder, config),
    )
    try_image_handling(adapter or folder, reader.image_processor, config["vision_config"]["image_size"])
    try_tokenizer(folder, reader.tokenizer, config.get("text_config", {}).get("vocab_size"))
    return reader


def tokenizer_of(folder: Path, original: bool) -> Any:
    """The tokenizer of a directory in the original or in transformers' layout; ModelError where it cannot be read."""
    with readable("tokenizer", folder):
        return load_original_tokenizer(folder) if original else load_tokenizer(folder)


def _require_reader_files(folder: Path) -> None:
    for name in ("tokenizer_config.json", PREPROCESSOR):
        if not (folder / name).is_file() and not (folder / PROCESSOR).is_file():
            raise ModelError(f"{folder} lacks {name}: copy it from the base model.")


def load_image_processor(folder: Path, tuned: Path | None = None, tower: Path | None = None) -> Any:
    """How a model's images are handled: as the checkpoint, or else the model, says; ModelError where neither does."""
    if tuned is not None and _handles_images(tuned):
        return _image_processor(tuned)
    written = read_config(folder)
    processor = _image_processor((tower or find_tower(folder, written)) if is_original(written) else folder)
    # an adapter of the original says no more than whether images are padded
    says = tuned is not None and (tuned / "config.json").is_file() and is_original(read_config(tuned))
    processor.do_pad = pads(tuned if tuned is not None and says else folder)
    return processor


def _handles_images(folder: Path) -> bool:
    """Whether a directory says itself how images are handled; transformers 4 wrote a processor that does not."""
    processor = folder / PROCESSOR
    return (folder / PREPROCESSOR).is_file() or (processor.is_file() and "image_processor" in read_settings(processor))


def _image_processor(folder: Path) -> Any:
    from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

    if not (folder / PREPROCESSOR).is_file() and not (folder / PROCESSOR).is_file():
        raise ModelError(f"{folder} lacks {PREPROCESSOR}: copy it from where the vision tower was published.")
    with readable("image handling", folder):
        return LlavaImageProcessorPil.from_pretrained(folder)


def pads(folder: Path) -> bool:
    """Whether images are padded to a square: as the directory says, or else as LLaVA 1.5 was trained."""
    written = read_config(folder)
    if is_original(written):
        # the original crops where nothing is said
        return written.get("image_aspect_ratio") == "pad"
    for name in (PROCESSOR, PREPROCESSOR):
        if (folder / name).is_file():
            with readable("image handling", folder):
                settings = read_settings(folder / name)
                pad = settings.get("image_processor", settings).get("do_pad")
            if pad is not None:
                return bool(pad)
    return True


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
    """The LLaVA model of a directory in evaluation mode; raises ModelError when its weights are not whole.

    Under ZeRO-3 each rank keeps its part only, whichever layout the directory has; `require_loadable` is then the
    caller's, before DeepSpeed is joined: it would take apart what is only drawn up.
    """
    from transformers import LlavaForConditionalGeneration
    from transformers.integrations import is_deepspeed_zero3_enabled
    from transformers.utils.logging import disable_progress_bar

    # a bar of seconds among the messages of a command, or in the log of a run
    disable_progress_bar()
    if not is_deepspeed_zero3_enabled():
        require_loadable(folder)
    source: dict[str, Any] = {"pretrained_model_name_or_path": folder}
    if is_original(read_config(folder)):
        source = _original_source(folder)
    # what a file lacks transformers would fill with random values and a warning
    complete = {"output_loading_info": True, "ignore_mismatched_sizes": False}
    # of an index that is cut off or holds something else, too
    with readable("weights", folder, "copy the model again"):
        model, found = LlavaForConditionalGeneration.from_pretrained(**source, dtype=dtype, **complete, **options)
    if found["missing_keys"]:
        raise ModelError(f"{folder} lacks {sorted(found['missing_keys'])[0]}: copy the model again.")
    model.name_or_path = model.config._name_or_path = str(folder)
    return model.eval()


def _original_source(folder: Path) -> dict[str, Any]:
    """What from_pretrained takes in the place of a directory."""
    from transformers import GenerationConfig, LlavaConfig

    tower = find_tower(folder, read_config(folder))
    config = LlavaConfig.from_dict(require_model_config(folder))
    source = {"pretrained_model_name_or_path": None, "config": config, "state_dict": original_tensors(folder, tower)}
    if (folder / "generation_config.json").is_file():
        source["generation_config"] = GenerationConfig.from_pretrained(folder)
    return source


def load_model(
    model: Path, adapter: Path | None = None, dtype: str = "auto", projector: Projector = "adapter"
) -> LoadedModel:
    """Load a model directory, put an adapter on it where given, and move it to the GPU or CPU."""
    # before the base is loaded, which takes minutes
    tuned = None if adapter is None else require_adapter(adapter, projector)
    device = choose_device()
    loaded = load_base(model, choose_dtype(dtype, device))
    if tuned is not None:
        require_made_for(tuned, loaded, projector)
        loaded = put_on(loaded, tuned)
    reader = load_reader(model, adapter)
    return LoadedModel(**vars(reader), model=loaded.to(device), device=device)
