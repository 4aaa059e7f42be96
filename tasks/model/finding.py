"""Find a model by its directory or its name on the Hugging Face hub."""

import re
from pathlib import Path

from tasks.errors import ModelError

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
WANTED = ("*.json", "*.safetensors", "*.bin", "*.model", "*.jinja", "*.txt")


def find_model(model: str) -> Path:
    """The directory of a model; a hub name is downloaded into the hub's cache.

    Raises ModelError when it is neither a directory nor a name that the hub gives.
    """
    folder = Path(model)
    if model and folder.is_dir():
        return folder.absolute()
    if not HUB_NAME.fullmatch(model):
        raise ModelError(f"{model} is no directory: set model.base to a model's directory or its name on the hub.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, allow_patterns=list(WANTED)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"{model} is no directory here and cannot be had from the hub ({type(error).__name__}): download it on a "
            "machine with access and set model.base to its directory."
        ) from None
