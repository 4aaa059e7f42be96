"""Apply an experiment's model settings to a base: training, answering and merging use the same tower and pixels."""

from pathlib import Path
from typing import Any

from tasks.errors import ConfigError
from tasks.files import digest_of, read_json, write_json
from tasks.manifests import atomic_folder, folder_digest
from tasks.model.configuration import CONFIG, PREPROCESSOR, PROCESSOR, read_model_config
from tasks.model.llava.model_config import require_model_config
from tasks.model.llava.original_config import SELECT_LAYER
from tasks.model.llava.original_layout import find_tower, is_original
from tasks.model.llava.processor import pads
from tasks.paths import MANIFEST
from tasks.records import ModelRef
from tasks.settings import ModelConfig

# new values by file name and key
Changes = dict[str, dict[str, Any]]


def model_digest(folder: Path) -> str:
    """SHA-256 in hex over all files that decide a model's answers: its directory and a separate vision tower's."""
    written = read_model_config(folder) if (folder / CONFIG).is_file() else {}
    if not is_original(written):
        return folder_digest(folder)
    return digest_of([folder_digest(folder), folder_digest(find_tower(folder, written))])


def require_tower_apart(folder: Path, config: ModelConfig) -> None:
    """Raise ConfigError if the settings name a vision tower for a model that contains one."""
    if config.vision_tower is not None and not is_original(read_model_config(folder)):
        raise ConfigError(f"{folder} contains its vision tower: leave model.vision_tower empty.")


def require_select_layer(folder: Path, config: ModelConfig, tower: Path | None = None) -> None:
    """Raise ConfigError if the settings select another layer of the tower than the model was trained with.

    `tower` overrides the vision tower that an original model names.
    """
    layer = require_model_config(folder, tower).get("vision_feature_layer", SELECT_LAYER)
    if not isinstance(layer, int):
        raise ConfigError(
            f"{folder} was trained with several layers of its vision tower ({layer}): give a LLaVA 1.5, which uses one."
        )
    if layer != config.mm_vision_select_layer:
        raise ConfigError(
            f"model.mm_vision_select_layer is {config.mm_vision_select_layer}, but {folder} was trained with "
            f"layer {layer}: set model.mm_vision_select_layer={layer}."
        )


def configured_base(folder: Path, config: ModelConfig, models: Path) -> ModelRef:
    """The model with the vision tower and the padding of `config`; `folder` itself if it already has them.

    Otherwise a directory under `models` that links to the model's files, with changed settings. Raises ConfigError if
    a setting does not fit the model.
    """
    written = read_model_config(folder)
    original = is_original(written)
    require_tower_apart(folder, config)
    aspect = config.image_aspect_ratio
    if config.vision_tower is None and pads(folder) == (aspect == "pad"):
        return ModelRef(path=folder, sha256=model_digest(folder))
    if original:
        tower = find_tower(folder, written, config.vision_tower)
        sha256 = digest_of([folder_digest(folder), folder_digest(tower), aspect])
        changes: Changes = {CONFIG: {"mm_vision_tower": str(tower), "image_aspect_ratio": aspect}}
    else:
        sha256 = digest_of([folder_digest(folder), aspect])
        changes = {name: {"do_pad": aspect == "pad"} for name in (PREPROCESSOR, PROCESSOR) if (folder / name).is_file()}
    view = models / f"{folder.name}-{sha256[:12]}"
    _link(folder, changes, view)
    return ModelRef(path=view, sha256=sha256)


def _link(folder: Path, changes: Changes, view: Path) -> None:
    """Create a directory of links to a model's files, with changed copies of some JSON files; keep it if complete."""
    files = [path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST]
    changed = {name: _updated(read_json(folder / name), values) for name, values in changes.items()}
    # after a workspace was copied or moved, its links may point to the old location
    present = all((view / path.name).is_file() for path in files) and all(
        (view / path.name).resolve() == path.resolve() for path in files if path.name not in changed
    )
    if present and all(read_json(view / name) == settings for name, settings in changed.items()):
        return
    with atomic_folder(view) as part:
        for path in files:
            if path.name in changed:
                write_json(part / path.name, changed[path.name])
            else:
                (part / path.name).symlink_to(path.resolve())


def _updated(settings: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    if "image_processor" in settings:
        return {**settings, "image_processor": {**settings["image_processor"], **values}}
    return {**settings, **values}
