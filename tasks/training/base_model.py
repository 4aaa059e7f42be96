"""The base model as an experiment uses it: the same tower and the same pixels in training, answering and merging."""

from pathlib import Path
from typing import Any

from tasks.errors import ConfigError
from tasks.files import digest_of, read_json, write_json
from tasks.model.configuration import CONFIG, read_model_config, require_model_config
from tasks.model.loading import PREPROCESSOR, PROCESSOR, pads
from tasks.model.original import find_tower, is_original
from tasks.paths import MANIFEST
from tasks.records import ModelRef
from tasks.settings import ModelConfig
from tasks.storage.manifests import folder_digest, made_beside

# What transformers takes where a LLaVA's config.json says nothing.
DEFAULT_SELECT_LAYER = -2
Changes = dict[str, dict[str, Any]]


def model_digest(folder: Path) -> str:
    """One digest for all that decides a model's answers: its directory, and its vision tower's where that is apart."""
    written = read_model_config(folder) if (folder / CONFIG).is_file() else {}
    if not is_original(written):
        return folder_digest(folder)
    return digest_of([folder_digest(folder), folder_digest(find_tower(folder, written))])


def base_folders(models: Path) -> tuple[Path, ...]:
    """Where a base is looked for by its name: in the workspace's `models`, and in the current directory."""
    return models, Path()


def require_tower_apart(folder: Path, config: ModelConfig) -> None:
    """Raise ConfigError where the settings name a vision tower for a model that has its own."""
    if config.vision_tower is not None and not is_original(read_model_config(folder)):
        raise ConfigError(f"{folder} brings its vision tower along: leave model.vision_tower empty.")


def require_select_layer(folder: Path, config: ModelConfig, tower: Path | None = None) -> None:
    """Raise ConfigError where the settings name another layer of the tower than the model was made for.

    `tower` stands for the vision tower that an original model names.
    """
    layer = require_model_config(folder, tower).get("vision_feature_layer", DEFAULT_SELECT_LAYER)
    if not isinstance(layer, int):
        raise ConfigError(
            f"{folder} was made for several layers of its tower ({layer}): give a LLaVA 1.5, which has one."
        )
    if layer != config.mm_vision_select_layer:
        raise ConfigError(
            f"model.mm_vision_select_layer is {config.mm_vision_select_layer}, but {folder} was made for "
            f"layer {layer}: set model.mm_vision_select_layer={layer}."
        )


def configured_base(folder: Path, config: ModelConfig, models: Path) -> ModelRef:
    """The model as `config` wants its vision tower and its images handled; as it stands where it is so already.

    Else a directory below `models` that links to its files, with changed settings. Raises ConfigError where a
    setting does not fit the model.
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
        changed: Changes = {CONFIG: {"mm_vision_tower": str(tower), "image_aspect_ratio": aspect}}
    else:
        sha256 = digest_of([folder_digest(folder), aspect])
        changed = {name: {"do_pad": aspect == "pad"} for name in (PREPROCESSOR, PROCESSOR) if (folder / name).is_file()}
    view = models / f"{folder.name}-{sha256[:12]}"
    _link(folder, changed, view)
    return ModelRef(path=view, sha256=sha256)


def _link(folder: Path, changes: Changes, view: Path) -> None:
    """Make a directory of links to a model's files, with other values in some of its JSON files."""
    files = [path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST]
    changed = {name: _updated(read_json(folder / name), values) for name, values in changes.items()}
    # of a workspace that was copied or moved, the links lead to where it was
    present = all((view / path.name).is_file() for path in files) and all(
        (view / path.name).resolve() == path.resolve() for path in files if path.name not in changed
    )
    if present and all(read_json(view / name) == settings for name, settings in changed.items()):
        return
    with made_beside(view) as part:
        for path in files:
            if path.name in changed:
                write_json(part / path.name, changed[path.name])
            else:
                (part / path.name).symlink_to(path.resolve())


def _updated(settings: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    if "image_processor" in settings:
        return {**settings, "image_processor": {**settings["image_processor"], **values}}
    return {**settings, **values}
