"""A LoRA adapter as PEFT writes it, ours or the original LLaVA's, by canonical names; nothing of it is read yet."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch

from tasks.errors import ModelError
from tasks.merging.lora_config import LoraSettings, read_lora_config
from tasks.merging.tensor_files import StoredTensor, read_float, read_tensors
from tasks.model.formats import PEFT_PREFIX, canonical_name, lora_name
from tasks.paths import ADAPTER_WEIGHTS, NON_LORA_WEIGHTS

# as PEFT wrote it before it took to safetensors
TORCH_WEIGHTS = "adapter_model.bin"
_MAGNITUDE = re.compile(r"(?P<module>.+)\.lora_magnitude_vector(\.[^.]+)?(\.weight)?")
# what PEFT wraps a module in whose weights are trained in full
_WRAPPED = re.compile(r"\.(modules_to_save\.[^.]+|base_layer)(?=\.)")


@dataclass(frozen=True)
class LoraPair:
    """The matrices of one weight: A of rank x inputs, B of outputs x rank, and DoRA's length of each output's row."""

    a: StoredTensor
    b: StoredTensor
    scale: float
    magnitude: StoredTensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.b.shape[:-1], *self.a.shape[1:])

    @property
    def parts(self) -> list[StoredTensor]:
        """All that was trained."""
        return [self.a, self.b, *([self.magnitude] if self.magnitude else [])]


@dataclass(frozen=True)
class Adapter:
    """What training changed: LoRA pairs and tensors trained in full, by the canonical name of the weight."""

    folder: Path
    settings: LoraSettings
    pairs: dict[str, LoraPair]
    trained: dict[str, StoredTensor]

    @property
    def tensors(self) -> list[StoredTensor]:
        """All tensors of the adapter."""
        return [*(part for pair in self.pairs.values() for part in pair.parts), *self.trained.values()]


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter's settings and headers; ModelError when it is incomplete, damaged or of an unsupported kind."""
    settings = read_lora_config(folder)
    file = folder / ADAPTER_WEIGHTS
    if not file.is_file() and (folder / TORCH_WEIGHTS).is_file():
        file = folder / TORCH_WEIGHTS
    halves: dict[str, dict[str, StoredTensor]] = {}
    trained = {}
    for tensor in read_tensors(file):
        weight, part = _part_of(tensor)
        if part is None:
            trained[weight] = tensor
        else:
            halves.setdefault(weight, {})[part] = tensor
    pairs = {weight: _pair(folder, weight, parts, settings) for weight, parts in halves.items()}
    extra = _read_non_lora(folder)
    twice = sorted(name for name in trained.keys() & extra.keys() if not _same(trained[name], extra[name]))
    if twice:
        raise ModelError(f"{twice[0]} stands in both {file.name} and {NON_LORA_WEIGHTS} of {folder}: drop one.")
    return Adapter(folder, settings, pairs, {**trained, **extra})


def _same(one: StoredTensor, other: StoredTensor) -> bool:
    return one.shape == other.shape and torch.equal(read_float(one), read_float(other))


def _part_of(tensor: StoredTensor) -> tuple[str, str | None]:
    """The weight that an adapter's tensor changes, and which part of its LoRA it is; None where it replaces it."""
    lora = lora_name(tensor.name)
    if lora is not None:
        return lora.weight, lora.side
    magnitude = _MAGNITUDE.fullmatch(tensor.name)
    if magnitude is not None:
        return canonical_name(f"{magnitude['module']}.weight"), "magnitude"
    if "lora_" in tensor.name:
        raise ModelError(f"{tensor.name} in {tensor.file} is no LoRA matrix of a linear layer: merge it with PEFT.")
    return canonical_name(_WRAPPED.sub("", tensor.name)), None


def _pair(folder: Path, weight: str, parts: dict[str, StoredTensor], settings: LoraSettings) -> LoraPair:
    needed = ("A", "B", "magnitude") if settings.dora else ("A", "B")
    for part in needed:
        if part not in parts:
            name = part if part == "magnitude" else f"lora_{part}"
            raise ModelError(f"{folder} lacks {name} of {weight}: fetch the checkpoint again, or merge another.")
    if len(parts) > len(needed):
        raise ModelError(f"{folder} holds a magnitude of {weight} and says use_dora = false: fetch it again.")
    module = parts["A"].name.removeprefix(PEFT_PREFIX).partition(".lora_A")[0]
    pair = LoraPair(parts["A"], parts["B"], settings.scale_of(module), parts.get("magnitude"))
    rank = settings.rank_of(module)
    if len(pair.a.shape) != 2 or len(pair.b.shape) != 2 or pair.a.shape[0] != rank or pair.b.shape[1] != rank:
        raise ModelError(
            f"The LoRA matrices of {weight} in {folder} have shapes {pair.a.shape} and {pair.b.shape}, "
            f"not those of rank {rank} as its adapter_config.json says: the two files belong to different runs."
        )
    return pair


def _read_non_lora(folder: Path) -> dict[str, StoredTensor]:
    file = folder / NON_LORA_WEIGHTS
    if not file.is_file():
        return {}
    return {canonical_name(tensor.name): tensor for tensor in read_tensors(file)}
