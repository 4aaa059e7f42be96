"""Find a model by its directory or its name on the Hugging Face hub, and upload one."""

import re
from collections.abc import Sequence
from pathlib import Path

from tasks.errors import ModelError, StoreError
from tasks.model.configuration import CONFIG
from tasks.settings import MODEL_NAME

HUB_NAME = re.compile(r"(?!\.)[\w.-]+/(?!\.)[\w.-]+")
WANTED = ("*.json", "*.safetensors", "*.bin", "*.model", "*.jinja", "*.txt")


def next_to(name: str, folders: Sequence[Path]) -> Path | None:
    """The directory of a model in one of the folders, by its name or the name's last part; None if there is none."""
    for path in (path for folder in folders for path in (folder / name, folder / Path(name).name)):
        if name and (path / CONFIG).is_file():
            return path.absolute()
    return None


def directory_of(name: str, folders: Sequence[Path]) -> Path | None:
    """A directory by its path, or by its name in one of the folders; None if there is none."""
    if name and Path(name).is_dir():
        return Path(name).absolute()
    return next_to(name, folders) if MODEL_NAME.fullmatch(name) else None


def local_model(name: str, folders: Sequence[Path] = ()) -> Path | None:
    """The directory of a model on this machine, by its path or its name; None if it is not here.

    A name is looked up in `folders`, then in the hub's cache. Nothing is downloaded.
    """
    return directory_of(name, folders) or _cached(name)


def find_model(name: str, folders: Sequence[Path] = ()) -> Path:
    """The directory of a model, found as `local_model` does, or downloaded into the hub's cache.

    Raises ModelError if the name is not a directory and cannot be downloaded from the hub.
    """
    found = directory_of(name, folders)
    if found is not None:
        return found
    if not HUB_NAME.fullmatch(name):
        raise ModelError(f"{name} is not a directory: set model.base to a model's directory or its name on the hub.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        # also completes a partial download
        return Path(snapshot_download(name, allow_patterns=list(WANTED)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            f"{name} is not a directory here and cannot be downloaded from the hub ({type(error).__name__}): download "
            "it on a machine with access and set model.base to its directory."
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


def push_to_hub(folder: Path, repository: str, endpoint: str | None = None) -> str:
    """Upload a model directory to a private repository and return its URL; files already there are not sent again.

    The token is that of `hf auth login` or HF_TOKEN. Raises StoreError if the hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, LocalTokenNotFoundError

    hub = HfApi(endpoint=endpoint)
    try:
        hub.create_repo(repository, private=True, exist_ok=True)
        done = hub.upload_folder(repo_id=repository, folder_path=folder, commit_message="Upload by rsvlm")
    except (HTTPError, HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OSError) as error:
        raise StoreError(
            f"{folder} cannot be pushed to {repository} on the hub ({type(error).__name__}: {error}): "
            "set HF_TOKEN to a token that may write there, or leave merging.push_to_hub empty."
        ) from None
    return str(done.commit_url)


def base_folders(models: Path) -> tuple[Path, ...]:
    """Where a base is looked up by name: the workspace's `models`, then the current directory."""
    return models, Path()
