"""The base model before a run: whether it is on this machine or can be had, its tokenizer and its sizes."""

from dataclasses import dataclass
from pathlib import Path

from tasks.errors import UserError
from tasks.model.configuration import read_config, require_model_config
from tasks.model.finding import HUB_NAME, WANTED
from tasks.model.loading import Reader, load_reader, tokenizer_of
from tasks.model.original import is_original, transformers_config
from tasks.model.prompt import IMAGE_INDEX
from tasks.paths import Workspace
from tasks.preflight.findings import Finding, ok, size_text, stops, warning
from tasks.settings import ModelConfig
from tasks.training.model_shape import ModelShape, published_shape, read_shape

TOY = "tiny"
HUB_LIMIT_S = 10
WEIGHTS = ("*.safetensors", "*.bin")


@dataclass(frozen=True)
class Base:
    """The base model as far as it is known: its directory where it is on this machine, its sizes, its reader."""

    folder: Path | None
    shape: ModelShape | None
    reader: Reader | None = None


def look_at_base(config: ModelConfig, workspace: Path) -> tuple[list[Finding], Base]:
    """Whether the base model can be loaded; what is not on this machine is asked for at the hub, but not fetched."""
    if config.base == TOY:
        return _toy(Workspace(workspace).models / "toy")
    folder = _on_this_machine(config.base)
    if folder is None:
        return [_absent(config.base), *_absent_tower(config)], Base(None, published_shape(config.base))
    try:
        base = _read_base(folder, config)
    except UserError as error:
        return [stops("base model", str(error))], Base(folder, published_shape(config.base))
    except (OSError, ValueError, KeyError) as error:
        text = f"{folder} cannot be read ({error}): copy the model again"
        return [stops("base model", text)], Base(folder, published_shape(config.base))
    assert base.shape and base.reader
    tokenizer = ok("tokenizer", f"{len(base.reader.tokenizer)} tokens, {base.reader.image_tokens} an image")
    return [_weights(folder, base.shape), tokenizer, *_absent_tower(config)], base


def _read_base(folder: Path, config: ModelConfig) -> Base:
    """Sizes and reader of a directory; where its tower is named in the settings, without the image's processor."""
    written = read_config(folder)
    if config.vision_tower is None or not is_original(written):
        return Base(folder, read_shape(require_model_config(folder)), load_reader(folder))
    tower = _on_this_machine(config.vision_tower)
    shape = read_shape(transformers_config(folder, written, read_config(tower)) if tower else written)
    return Base(folder, shape, Reader(tokenizer_of(folder, original=True), None, IMAGE_INDEX, shape.image_tokens))


def _on_this_machine(name: str) -> Path | None:
    """A directory, or the place of a hub model that was fetched before."""
    return Path(name) if Path(name).is_dir() else cached(name)


def cached(name: str) -> Path | None:
    """The directory of a hub model that is on this machine already; None where it is not."""
    if not HUB_NAME.fullmatch(name):
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(WANTED), local_files_only=True))
    except (LocalEntryNotFoundError, OSError):
        return None


def _toy(folder: Path) -> tuple[list[Finding], Base]:
    shape = published_shape(TOY)
    if not (folder / "config.json").is_file():
        return [ok("base model", "a toy, which is made first")], Base(None, shape)
    return [ok("base model", f"the toy in {folder}")], Base(folder, shape, load_reader(folder))


def _weights(folder: Path, shape: ModelShape) -> Finding:
    files = [path for pattern in WEIGHTS for path in folder.glob(pattern)]
    if not files:
        return stops("base model", f"{folder} holds no weights (*.safetensors or *.bin): copy the model again")
    held = sum(path.stat().st_size for path in files)
    return ok("base model", f"{shape.parameters:,} parameters, {size_text(held)} in {folder}")


def _absent(name: str) -> Finding:
    if not HUB_NAME.fullmatch(name):
        return stops(
            "base model", f"{name} is no directory: set model.base to a model's directory or its name on the hub"
        )
    fault = hub_fault(name)
    if fault is None:
        return warning("base model", f"{name} is not on this machine: it is downloaded when the run starts")
    return stops("base model", f"{name} is not on this machine and the hub does not give it ({fault}): where there is "
                 f"access, `hf download {name} --local-dir DIR`, then set model.base=DIR")  # fmt: skip


def _absent_tower(config: ModelConfig) -> list[Finding]:
    """The tower that stands apart from a model in the original layout."""
    name = config.vision_tower
    if name is None or _on_this_machine(name) is not None:
        return []
    fault = hub_fault(name)
    if fault is None:
        return [warning("vision tower", f"{name} is not on this machine: it is downloaded when the run starts")]
    text = (
        f"{name} is not on this machine and the hub does not give it ({fault}): where there is access, `hf download "
        f"{name} --local-dir DIR`, then set model.vision_tower=DIR; a model in transformers' layout brings its own"
    )
    return [stops("vision tower", text)]


def hub_fault(name: str) -> str | None:
    """Why the hub does not give a model; None where it does. Nothing is downloaded."""
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name, timeout=HUB_LIMIT_S)
    # the hub's client raises its own, httpx's and the system's errors
    except Exception as error:
        return type(error).__name__
    return None
