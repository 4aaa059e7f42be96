"""Find a model by its directory or its name on the Hugging Face hub."""

import re
from collections.abc import Sequence
from pathlib import Path

from tasks.errors import ModelError

HUB_NAME = re.compile(r"(?!\.)[\w.-]+/(?!\.)[\w.-]+")
# a name on the hub, or the directory's name alone; anything else is a path
NAME = re.compile(r"(?!\.)[\w.-]+(/(?!\.)[\w.-]+)?")
WANTED = ("*.json", "*.safetensors", "*.bin", "*.model", "*.jinja", "*.txt")


def beside(name: str, folders: Sequence[Path]) -> Path | None:
    """The directory of a model in one of some folders, by its name or the last part of it; None where it is in none."""
    for place in (place for folder in folders for place in (folder / name, folder / Path(name).name)):
        if name and (place / "config.json").is_file():
            return place.absolute()
    return None


def directory_of(name: str, folders: Sequence[Path]) -> Path | None:
    """A directory by its path, or by its name in one of some folders; None where there is none."""
    if name and Path(name).is_dir():
        return Path(name).absolute()
    return beside(name, folders) if NAME.fullmatch(name) else None


def local_model(name: str, folders: Sequence[Path] = ()) -> Path | None:
    """The directory of a model that is on this machine, by its path or its name; None where it is not.

    A name is looked for in `folders`, then in the hub's cache. Nothing is downloaded.
    """
    return directory_of(name, folders) or _cached(name)


def find_model(name: str, folders: Sequence[Path] = ()) -> Path:
    """The directory of a model, looked for as `local_model` does; else it is downloaded into the hub's cache.

    Raises ModelError when it is neither a directory nor a name that the hub gives.
    """
    found = directory_of(name, folders)
    if found is not None:
        return found
    if not HUB_NAME.fullmatch(name):
        raise ModelError(f"{name} is no directory: set model.base to a model's directory or its name on the hub.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        # completes what is in the cache in part
        return Path(snapshot_download(name, allow_patterns=list(WANTED)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"{name} is no directory here and cannot be had from the hub ({type(error).__name__}): download it on a "
            "machine with access and set model.base to its directory."
        ) from None


def _cached(name: str) -> Path | None:
    if not HUB_NAME.fullmatch(name):
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(WANTED), local_files_only=True))
    except (LocalEntryNotFoundError, OSError):
        return None
