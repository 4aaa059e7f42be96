"""Check the base model of a run: available here or on the hub, and usable for training and merging."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.choices import Layout
from tasks.errors import UserError
from tasks.model.configuration import CONFIG, read_model_config, readable
from tasks.model.hub import HUB_NAME, base_folders, directory_of, local_model
from tasks.model.llava.base_loading import require_loadable
from tasks.model.llava.configured_base import require_select_layer, require_tower_apart
from tasks.model.llava.model_config import require_model_config
from tasks.model.llava.original_config import tower_name
from tasks.model.llava.original_layout import is_original, local_tower, tower_error
from tasks.model.llava.processor import processor_without_tower
from tasks.model.llava.shape import published_shape, read_shape
from tasks.model.loading import load_processor
from tasks.model.processor import Processor
from tasks.model.shape import ModelShape
from tasks.model.weight_checks import require_plain_weights
from tasks.model.weights import weight_files
from tasks.paths import Workspace
from tasks.preflight.findings import Finding, fatal, ok, size_text, warning
from tasks.settings import TOY, ModelConfig

HUB_LIMIT_S = 10
BASE, TOWER = "base model", "vision tower"


@dataclass(frozen=True)
class Base:
    """What is known of the base model: its directory if it is on this machine, its shape, its processor."""

    folder: Path | None
    shape: ModelShape | None
    processor: Processor | None = None


def check_base(config: ModelConfig, workspace: Path, merged: Layout = "transformers") -> tuple[list[Finding], Base]:
    """Check that the base model can be loaded, and merged to a layout.

    If it is not on this machine, the hub is queried, but nothing is downloaded.
    """
    models, toy_base = Workspace(workspace).models, Workspace(workspace).toy_base
    toy = config.base == TOY
    if toy and not (toy_base / CONFIG).is_file():
        return [ok(BASE, "the toy model, which is created first")], Base(None, published_shape(TOY))
    folder = toy_base if toy else local_model(config.base, base_folders(models))
    if folder is None:
        lacking = [_missing_base(config.base)]
        if config.vision_tower is not None and local_model(config.vision_tower, base_folders(models)) is None:
            lacking.append(_missing_tower(config.vision_tower))
        return lacking, Base(None, published_shape(config.base))
    try:
        return _check(folder, config, merged)
    except UserError as error:
        if _is_partly_cached(config.base, folder, models):
            text = f"{config.base} is only partly in the hub's cache: the rest is downloaded when the run starts"
            return [warning(BASE, text)], Base(None, published_shape(config.base))
        return [fatal(BASE, str(error))], Base(folder, published_shape(config.base))
    except OSError as error:
        text = f"{folder} cannot be read ({error}): copy the model again"
        return [fatal(BASE, text)], Base(folder, published_shape(config.base))


def _check(folder: Path, config: ModelConfig, merged: Layout) -> tuple[list[Finding], Base]:
    """Check a base with the same functions as training, answering and merging; raises UserError as they do."""
    written = read_model_config(folder)
    require_plain_weights(folder, written)
    require_tower_apart(folder, config)
    tower = local_tower(folder, written, config.vision_tower) if is_original(written) else None
    if is_original(written) and tower is None:
        base = _read_without_tower(folder, written)
        found = [_missing_tower(config.vision_tower or tower_name(written), folder)]
    else:
        base, found = _read(folder, config, tower, merged), []
    size = sum(path.stat().st_size for path in weight_files(folder))
    assert base.shape and base.processor
    text = f"{base.shape.parameters:,} parameters, {size_text(size)} in {folder}"
    tokenizer = ok("tokenizer", f"{len(base.processor.tokenizer)} tokens, {base.processor.image_tokens} per image")
    return [ok(BASE, text), tokenizer, *found], base


def _read(folder: Path, config: ModelConfig, tower: Path | None, merged: Layout) -> Base:
    # only here: they import torch
    from tasks.model.config_files import require_undamaged
    from tasks.model.llava.config_files import config_files
    from tasks.model.llava.model_tensors import read_base
    from tasks.model.llava.original_config import original_config

    require_select_layer(folder, config, tower)
    processor = load_processor(folder, tower=tower)
    require_loadable(folder, tower)
    base = read_base(folder, tower)
    require_undamaged(config_files(base, folder))
    if merged == "llava" and base.layout != merged:
        original_config(base.config, pads=True, tower="")
    with readable("configuration", folder):
        return Base(folder, read_shape(require_model_config(folder, tower)), processor)


def _read_without_tower(folder: Path, written: Mapping[str, object]) -> Base:
    """Shape and tokenizer of a model whose tower, and with it the image processor, is not on this machine yet."""
    with readable("configuration", folder):
        shape = read_shape(written)
    return Base(folder, shape, processor_without_tower(folder, shape.image_tokens))


def _is_partly_cached(name: str, folder: Path, models: Path) -> bool:
    """Whether a base is in the hub's cache but lacks files that the hub has."""
    if directory_of(name, base_folders(models)) is not None or name == TOY:
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
        return fatal(TOWER, str(tower_error(folder, name)))
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
