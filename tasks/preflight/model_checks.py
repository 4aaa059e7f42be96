"""The base model before a run: whether it is here or can be had, and whether it can be trained and merged."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tasks.errors import UserError
from tasks.model.configuration import read_model_config, readable
from tasks.model.hub import HUB_NAME, directory_of, local_model
from tasks.model.llava.base_loading import require_loadable, require_plain_weights
from tasks.model.llava.configured_base import base_folders, require_select_layer, require_tower_apart
from tasks.model.llava.model_config import require_model_config
from tasks.model.llava.original_config import tower_name
from tasks.model.llava.original_layout import is_original, local_tower, tower_error
from tasks.model.llava.prompt import IMAGE_INDEX
from tasks.model.loading import Processor, load_processor, tokenizer_of
from tasks.model.weights import weight_files
from tasks.paths import Workspace
from tasks.preflight.findings import Finding, ok, size_text, stops, warning
from tasks.preflight.model_shape import ModelShape, published_shape, read_shape
from tasks.settings import ModelConfig

Layout = Literal["transformers", "llava"]
TOY = "tiny"
HUB_LIMIT_S = 10
BASE, TOWER = "base model", "vision tower"


@dataclass(frozen=True)
class Base:
    """The base model as far as it is known: its directory where it is on this machine, its sizes, its processor."""

    folder: Path | None
    shape: ModelShape | None
    processor: Processor | None = None


def look_at_base(config: ModelConfig, workspace: Path, merged: Layout = "transformers") -> tuple[list[Finding], Base]:
    """Whether the base model can be loaded, and merged in a layout.

    What is not on this machine is asked for at the hub, but not fetched.
    """
    models = Workspace(workspace).models
    toy = config.base == TOY
    if toy and not (models / "toy" / "config.json").is_file():
        return [ok(BASE, "a toy, which is made first")], Base(None, published_shape(TOY))
    folder = models / "toy" if toy else local_model(config.base, base_folders(models))
    if folder is None:
        lacking = [_absent(config.base)]
        if config.vision_tower is not None and local_model(config.vision_tower, base_folders(models)) is None:
            lacking.append(_absent_tower(config.vision_tower))
        return lacking, Base(None, published_shape(config.base))
    try:
        return _look_at(folder, config, merged)
    except UserError as error:
        if _is_half_fetched(config.base, folder, models):
            text = f"{config.base} is in the hub's cache in part: the rest is downloaded when the run starts"
            return [warning(BASE, text)], Base(None, published_shape(config.base))
        return [stops(BASE, str(error))], Base(folder, published_shape(config.base))
    except OSError as error:
        text = f"{folder} cannot be read ({error}): copy the model again"
        return [stops(BASE, text)], Base(folder, published_shape(config.base))


def _look_at(folder: Path, config: ModelConfig, merged: Layout) -> tuple[list[Finding], Base]:
    """What training, answering and merging ask of a base, by their own functions; raises UserError as they do."""
    written = read_model_config(folder)
    require_plain_weights(folder, written)
    require_tower_apart(folder, config)
    tower = local_tower(folder, written, config.vision_tower) if is_original(written) else None
    if is_original(written) and tower is None:
        base = _read_without_tower(folder, written)
        found = [_absent_tower(config.vision_tower or tower_name(written), folder)]
    else:
        base, found = _read(folder, config, tower, merged), []
    size = sum(path.stat().st_size for path in weight_files(folder))
    assert base.shape and base.processor
    text = f"{base.shape.parameters:,} parameters, {size_text(size)} in {folder}"
    tokenizer = ok("tokenizer", f"{len(base.processor.tokenizer)} tokens, {base.processor.image_tokens} an image")
    return [ok(BASE, text), tokenizer, *found], base


def _read(folder: Path, config: ModelConfig, tower: Path | None, merged: Layout) -> Base:
    # only here: torch comes with them
    from tasks.merging.config_files import find_config_files, require_undamaged
    from tasks.model.llava.model_tensors import read_base
    from tasks.model.llava.original_config import original_config

    require_select_layer(folder, config, tower)
    processor = load_processor(folder, tower=tower)
    require_loadable(folder, tower)
    base = read_base(folder, tower)
    require_undamaged(find_config_files(base, folder))
    if merged == "llava" and base.layout != merged:
        original_config(base.config, pads=True, tower="")
    with readable("configuration", folder):
        return Base(folder, read_shape(require_model_config(folder, tower)), processor)


def _read_without_tower(folder: Path, written: dict[str, Any]) -> Base:
    """Sizes and tokenizer where the tower is still to be fetched, and the image's processor with it."""
    with readable("configuration", folder):
        shape = read_shape(written)
    return Base(folder, shape, Processor(tokenizer_of(folder, original=True), None, IMAGE_INDEX, shape.image_tokens))


def _is_half_fetched(name: str, folder: Path, models: Path) -> bool:
    """Whether a base is in the hub's cache and lacks files that the hub gives."""
    if directory_of(name, base_folders(models)) is not None or name == TOY:
        return False
    try:
        weight_files(folder)
    except UserError:
        return hub_fault(name) is None
    return False


def _absent(name: str) -> Finding:
    if not HUB_NAME.fullmatch(name):
        return stops(BASE, f"{name} is no directory: set model.base to a model's directory or its name on the hub")
    fault = hub_fault(name)
    if fault is None:
        return warning(BASE, f"{name} is not on this machine: it is downloaded when the run starts")
    return stops(BASE, f"{name} is not on this machine and the hub does not give it ({fault}): where there is "
                 f"access, `hf download {name} --local-dir DIR`, then set model.base=DIR")  # fmt: skip


def _absent_tower(wanted: str, folder: Path | None = None) -> Finding:
    """The vision tower of a model in the original layout, which is not on this machine; `folder` is the model's."""
    if folder is not None and not HUB_NAME.fullmatch(wanted):
        return stops(TOWER, str(tower_error(folder, wanted)))
    fault = hub_fault(wanted)
    if fault is None:
        return warning(TOWER, f"{wanted} is not on this machine: it is downloaded when the run starts")
    place, then = "DIR", ", then set model.vision_tower=DIR"
    if folder is not None:
        place, then = str(folder.parent / Path(wanted).name), ""
    text = (
        f"{wanted} is not on this machine and the hub does not give it ({fault}): where there is access, `hf download "
        f"{wanted} --local-dir {place}`{then}; a model in transformers' layout brings its own"
    )
    return stops(TOWER, text)


def hub_fault(name: str) -> str | None:
    """Why the hub does not give a model; None where it does. Nothing is downloaded."""
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name, timeout=HUB_LIMIT_S)
    # the hub's client raises its own, httpx's and the system's errors
    except Exception as error:
        return type(error).__name__
    return None
