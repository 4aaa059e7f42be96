"""Check the base model of a run: available here or on the hub, and usable for training and merging."""

from dataclasses import dataclass
from pathlib import Path

from tasks.choices import Layout
from tasks.errors import UserError
from tasks.model.configuration import CONFIG, read_model_config, readable
from tasks.model.families import family_for, published_family
from tasks.model.family import ModelFamily, SeparateTower
from tasks.model.hub import HUB_NAME, base_folders, directory_of, local_model
from tasks.model.processor import Processor
from tasks.model.shape import ModelShape
from tasks.model.weight_checks import require_plain_weights
from tasks.model.weights import weight_files
from tasks.paths import Workspace
from tasks.preflight.findings import Finding, fatal, ok, size_text, warning
from tasks.settings import TOYS, ModelConfig

HUB_LIMIT_S = 10
BASE, TOWER = "base model", "vision tower"


@dataclass(frozen=True)
class Base:
    """What is known of the base model: its directory if it is on this machine, its shape, its processor, its family."""

    folder: Path | None
    shape: ModelShape | None
    processor: Processor | None = None
    family: ModelFamily | None = None


def check_base(config: ModelConfig, workspace: Path, merged: Layout = "transformers") -> tuple[list[Finding], Base]:
    """Check that the base model can be loaded, and merged to a layout.

    If it is not on this machine, the hub is queried, but nothing is downloaded.
    """
    models, toy_base = Workspace(workspace).models, Workspace(workspace).toy_base(config.base)
    toy = config.base in TOYS
    if toy and not (toy_base / CONFIG).is_file():
        return [ok(BASE, "the toy model, which is created first")], _published(config.base, None)
    folder = toy_base if toy else local_model(config.base, base_folders(models))
    if folder is None:
        lacking = [_missing_base(config.base)]
        if config.vision_tower is not None and local_model(config.vision_tower, base_folders(models)) is None:
            lacking.append(_missing_tower(config.vision_tower))
        return lacking, _published(config.base, None)
    try:
        return _check(folder, config, merged)
    except UserError as error:
        if _is_partly_cached(config.base, folder, models):
            text = f"{config.base} is only partly in the hub's cache: the rest is downloaded when the run starts"
            return [warning(BASE, text)], _published(config.base, None)
        return [fatal(BASE, str(error))], _published(config.base, folder)
    except OSError as error:
        text = f"{folder} cannot be read ({error}): copy the model again"
        return [fatal(BASE, text)], _published(config.base, folder)


def _published(name: str, folder: Path | None) -> Base:
    """What is known of a base by its name alone."""
    family = published_family(name)
    return Base(folder, family.published_shape(name) if family else None, family=family)


def _check(folder: Path, config: ModelConfig, merged: Layout) -> tuple[list[Finding], Base]:
    """Check a base with the same functions as training, answering and merging; raises UserError as they do."""
    written = read_model_config(folder)
    family = family_for(written, folder)
    require_plain_weights(folder, written)
    tower = family.tower(folder, config)
    if tower.is_missing:
        with readable("configuration", folder):
            base = Base(folder, family.shape(written), family.text_processor(folder), family)
        found = [_missing_tower(tower.name, folder)]
    else:
        base, found = _read(folder, family, config, tower.folder, merged), []
    size = sum(path.stat().st_size for path in weight_files(folder))
    assert base.shape and base.processor
    text = f"{base.shape.parameters:,} parameters, {size_text(size)} in {folder}"
    each = base.processor.image_tokens or "as many as its size asks for"
    tokenizer = ok("tokenizer", f"{len(base.processor.tokenizer)} tokens, {each} per image")
    return [ok(BASE, text), tokenizer, *found], base


def _read(folder: Path, family: ModelFamily, config: ModelConfig, tower: Path | None, merged: Layout) -> Base:
    # only here: it imports torch
    from tasks.model.config_files import require_undamaged

    family.require_settings(folder, config, tower)
    processor = family.load_processor(folder, tower=tower)
    family.require_loadable(folder, tower)
    base = family.read_stored(folder, tower)
    require_undamaged(family.config_files(base, folder))
    family.require_layout(base, merged)
    with readable("configuration", folder):
        return Base(folder, family.shape(family.read_config(folder, tower)), processor, family)


def _is_partly_cached(name: str, folder: Path, models: Path) -> bool:
    """Whether a base is in the hub's cache but lacks files that the hub has."""
    if directory_of(name, base_folders(models)) is not None or name in TOYS:
        return False
    try:
        weight_files(folder)
    except UserError:
        return hub_fault(name) is None
    return False


def _missing_base(name: str) -> Finding:
    if not HUB_NAME.fullmatch(name):
        return fatal(BASE, f"{name} is not a directory: set model.base to a model's directory or its name on the hub")
    fault = hub_fault(name)
    if fault is None:
        return warning(BASE, f"{name} is not on this machine: it is downloaded when the run starts")
    return fatal(BASE, f"{name} is not on this machine and not available from the hub ({fault}): on a machine with "
                 f"access, `hf download {name} --local-dir DIR`, then set model.base=DIR")  # fmt: skip


def _missing_tower(name: str, folder: Path | None = None) -> Finding:
    """The finding for a vision tower that is not on this machine; `folder` is that of its model, if there is one."""
    if folder is not None and not HUB_NAME.fullmatch(name):
        return fatal(TOWER, str(SeparateTower(name).error(folder)))
    fault = hub_fault(name)
    if fault is None:
        return warning(TOWER, f"{name} is not on this machine: it is downloaded when the run starts")
    target, then = "DIR", ", then set model.vision_tower=DIR"
    if folder is not None:
        target, then = str(folder.parent / Path(name).name), ""
    text = (
        f"{name} is not on this machine and not available from the hub ({fault}): on a machine with access, `hf "
        f"download {name} --local-dir {target}`{then}; a model in transformers' layout includes its tower"
    )
    return fatal(TOWER, text)


def hub_fault(name: str) -> str | None:
    """Why a model is not available from the hub, or None if it is; nothing is downloaded."""
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name, timeout=HUB_LIMIT_S)
    # the hub's client raises its own, httpx's and the system's errors
    except Exception as error:
        return type(error).__name__
    return None
