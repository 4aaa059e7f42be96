"""Load transformers' processor of a model directory, for text and images alone.

Its video processors need torchvision, which rsvlm does without; so do the image processors that are not Pillow's.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import ModelError, shortened
from tasks.model.configuration import (
    CONFIG,
    PREPROCESSOR,
    PROCESSOR,
    TOKENIZER_CONFIG,
    read_settings,
    readable,
    require_file,
)

if TYPE_CHECKING:
    from transformers import BaseImageProcessor, PreTrainedTokenizerBase, ProcessorMixin

VIDEO, VIDEO_SETTINGS = "video_processor", "video_preprocessor_config.json"
SETTINGS = (CONFIG, PREPROCESSOR, PROCESSOR, TOKENIZER_CONFIG, VIDEO_SETTINGS, "chat_template.json")
# SmolVLM's processor wants num2words for videos, and handles images as Idefics3's
SAME_FOR_IMAGES = {"SmolVLMProcessor": "Idefics3Processor"}
# what settings of sizes may hold: sides of tiles, and pixels of an image where a family counts those
MAX_SIDE, MAX_PIXELS = 1 << 14, 1 << 28


def load_hub_processor(folder: Path, adapter: Path | None = None) -> "ProcessorMixin":
    """Load transformers' processor of a directory; images are prepared as the adapter says, or else the model.

    Raises ModelError if files are missing or damaged, or a package is missing.
    """
    settings = _read_all(folder)
    require_file(folder, TOKENIZER_CONFIG)
    pictured = adapter if adapter is not None and _has_image_processor(adapter) else folder
    require_file(pictured, PREPROCESSOR, PROCESSOR)
    made = image_only(_class_name(folder, settings))
    parts = [_image_processor(pictured), _tokenizer(folder)]
    with _loadable("processor", folder):
        options, _ = made.get_processor_dict(folder)
        # positional arguments, in the order of the class's own
        return made.from_args_and_dict(parts, options)


def image_only(name: str) -> "type[ProcessorMixin]":
    """The processor class of this name in transformers, without its video processor."""
    import transformers

    parent = getattr(transformers, SAME_FOR_IMAGES.get(name, name))

    def get_attributes(_cls: type) -> list[str]:
        return [part for part in parent.get_attributes() if part != VIDEO]

    # the parent's name: it is written to processor_config.json
    made = type(name, (parent,), {"get_attributes": classmethod(get_attributes), "__module__": __name__})
    return made


def video_settings(folder: Path) -> dict[str, Any] | None:
    """The settings of the video processor, kept for others that load what rsvlm saves; None if there are none."""
    if (folder / VIDEO_SETTINGS).is_file():
        return read_settings(folder / VIDEO_SETTINGS)
    found = read_settings(folder / PROCESSOR).get(VIDEO) if (folder / PROCESSOR).is_file() else None
    return found if isinstance(found, dict) else None


def _read_all(folder: Path) -> dict[str, dict[str, Any]]:
    """The settings of a directory by file name; a damaged file is named, which transformers' errors do not."""
    return {name: read_settings(folder / name) for name in SETTINGS if (folder / name).is_file()}


def _class_name(folder: Path, settings: dict[str, dict[str, Any]]) -> str:
    from transformers import ProcessorMixin
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    named = [settings.get(file, {}).get("processor_class") for file in (PROCESSOR, PREPROCESSOR, TOKENIZER_CONFIG)]
    by_type = PROCESSOR_MAPPING_NAMES.get(str(settings.get(CONFIG, {}).get("model_type")))
    name = next((each for each in (*named, by_type) if each), None)
    import transformers

    found = getattr(transformers, name, None) if isinstance(name, str) else None
    if not (isinstance(found, type) and issubclass(found, ProcessorMixin)):
        raise ModelError(
            f"{folder} names {shortened(name)} as its processor, which transformers does not have: correct "
            f"processor_class in {PROCESSOR}."
        )
    return str(name)


def _tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    with _loadable("tokenizer", folder):
        return AutoTokenizer.from_pretrained(folder)


def _image_processor(folder: Path) -> "BaseImageProcessor":
    from transformers import AutoImageProcessor

    with _loadable("image handling", folder):
        processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        _require_sizes(processor)
        return processor


def _require_sizes(processor: "BaseImageProcessor") -> None:
    """Raise ValueError for sizes that are no numbers of pixels, or need more memory than any machine has."""
    limit = MAX_PIXELS if hasattr(processor, "merge_size") else MAX_SIDE
    for name in ("size", "crop_size", "max_image_size"):
        for side, pixels in dict(getattr(processor, name, None) or {}).items():
            if pixels is not None and (type(pixels) is not int or not 0 < pixels <= limit):
                raise ValueError(f"{name} has {side} {pixels!r}")


def _has_image_processor(folder: Path) -> bool:
    processor = folder / PROCESSOR
    return (folder / PREPROCESSOR).is_file() or (processor.is_file() and "image_processor" in read_settings(processor))


@contextmanager
def _loadable(what: str, folder: Path) -> Iterator[None]:
    """Errors of `readable`, and of a missing package one that names it."""
    with readable(what, folder):
        try:
            yield
        except ImportError as error:
            raise ModelError(
                f"The {what} of {folder} needs the package {_package(error)}, which is not installed: install it."
            ) from None


def _package(error: ImportError) -> str:
    """The package that an ImportError misses; transformers names it in its text alone."""
    text = " ".join(str(error).split())
    found = re.search(r"pip install ([\w-]+)|requires the (\w+) library|[Pp]ackage `?([\w-]+)`?", text)
    named = next(filter(None, found.groups()), None) if found else None
    return error.name or (named.lower() if named else shortened(text))
