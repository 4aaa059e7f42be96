"""Read the headers of a LoRA adapter as PEFT writes it, ours or the original LLaVA's; names become canonical.

Merging and answering both read adapters here, so both treat them alike.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from tasks.errors import ModelError
from tasks.model.adapter_weights import FloatRows, LoraPair, TokenRows, stored_rows
from tasks.model.configuration import lacks
from tasks.model.lora_config import LoraSettings, read_lora_config
from tasks.model.tensor_files import ITEM_BYTES, StoredTensor, float_dtype, list_tensors, read_float
from tasks.model.tensor_names import PEFT_PREFIX, TensorNames
from tasks.paths import ADAPTER_WEIGHTS, NON_LORA_WEIGHTS

# the file of PEFT versions before safetensors
TORCH_WEIGHTS = "adapter_model.bin"
# The tensors that change one weight: LoRA matrices of a layer or an embedding, DoRA's magnitudes, rows of single
# tokens, or the weight trained in full. In state dicts the names contain the adapter's name.
_PARTS = tuple(
    (part, re.compile(rf"(?P<module>.+)\.{pattern}"))
    for part, pattern in (
        ("A", r"lora_A(\.[^.]+)?\.weight"),
        ("B", r"lora_B(\.[^.]+)?\.weight"),
        ("embedding_A", r"lora_embedding_A(\.[^.]+)?"),
        ("embedding_B", r"lora_embedding_B(\.[^.]+)?"),
        ("magnitude", r"lora_magnitude_vector(\.[^.]+)?(\.weight)?"),
        ("tokens", r"token_adapter\.trainable_tokens_delta(\.[^.]+)?"),
    )
)
FULL = "full"
# the level that PEFT adds to a module whose weights are trained
_WRAPPED = re.compile(r"\.(modules_to_save\.[^.]+|base_layer)(?=\.)")
# the base's unchanged weights, which full state dicts also contain
_UNTRAINED = re.compile(r"\.(original_module|token_adapter\.base_layer|trainable_tokens_original)\.")


@dataclass(frozen=True)
class Adapter:
    """The trained changes by canonical name of the weight: LoRA pairs, tensors trained in full, rows of tokens."""

    folder: Path
    names: TensorNames
    settings: LoraSettings
    pairs: dict[str, LoraPair]
    trained: dict[str, StoredTensor]
    tokens: dict[str, TokenRows]

    @property
    def tensors(self) -> list[StoredTensor]:
        """All tensors of the adapter."""
        rows = [rows.values for rows in self.tokens.values()]
        return [*(part for pair in self.pairs.values() for part in pair.parts), *self.trained.values(), *rows]

    @property
    def shapes(self) -> list[tuple[str, tuple[int, ...]]]:
        """Name and shape of each changed weight, except where only rows were trained: those do not tell its shape."""
        pairs = [(name, pair.shape) for name, pair in self.pairs.items()]
        return pairs + [(name, tensor.shape) for name, tensor in self.trained.items()]

    @property
    def changed(self) -> set[str]:
        """Canonical names of all weights that differ from the base's."""
        return {*self.pairs, *self.trained, *self.tokens}

    def rows_of(self, name: str, base: FloatRows, with_pair: bool = True) -> FloatRows:
        """The rows of a weight after training, given the base's; `with_pair=False` leaves out the LoRA product."""
        rows = stored_rows(self.trained[name]) if name in self.trained else base
        if name in self.tokens:
            rows = self.tokens[name].put_into(rows)
        return self.pairs[name].added_to(rows) if with_pair and name in self.pairs else rows


def read_adapter(folder: Path, names: TensorNames) -> Adapter:
    """Read an adapter's settings and tensor headers; ModelError if incomplete, damaged or of an unsupported kind.

    `names` are those of the base's family.
    """
    settings = read_lora_config(folder)
    weights: dict[str, dict[str, StoredTensor]] = {}
    for file in _files(folder):
        for tensor in list_tensors(file):
            if not _UNTRAINED.search(tensor.name):
                weight, part = _part_of(tensor, names)
                parts = weights.setdefault(weight, {})
                parts[part] = _more_exact(weight, parts.get(part, tensor), tensor)
    trained = {weight: parts.pop(FULL) for weight, parts in weights.items() if FULL in parts}
    tokens = {weight: _rows(folder, weight, parts, settings) for weight, parts in weights.items() if "tokens" in parts}
    parts_of = {weight: parts for weight, parts in weights.items() if parts and weight not in tokens}
    modules = _names_in_settings(parts_of, settings, names)
    pairs = {weight: _pair(folder, weight, modules[weight], parts, settings) for weight, parts in parts_of.items()}
    return Adapter(folder, names, settings, pairs, trained, tokens)


def _files(folder: Path) -> Iterator[Path]:
    """The files that hold an adapter's tensors."""
    weights = next((folder / name for name in (ADAPTER_WEIGHTS, TORCH_WEIGHTS) if (folder / name).is_file()), None)
    if weights is None:
        raise lacks(folder, ADAPTER_WEIGHTS, "fetch the checkpoint again, or take another")
    yield weights
    if (folder / NON_LORA_WEIGHTS).is_file():
        yield folder / NON_LORA_WEIGHTS


def _part_of(tensor: StoredTensor, names: TensorNames) -> tuple[str, str]:
    """The canonical name of the weight that a tensor changes, and the part of the change that it is."""
    for part, pattern in _PARTS:
        match = pattern.fullmatch(tensor.name)
        if match is not None:
            return names.canonical(f"{_WRAPPED.sub('', match['module'])}.weight"), part
    if "lora_" in tensor.name:
        raise ModelError(f"{tensor.name} in {tensor.file} is an unknown kind of LoRA tensor: use PEFT itself.")
    return names.canonical(_WRAPPED.sub("", tensor.name)), FULL


def _more_exact(weight: str, one: StoredTensor, other: StoredTensor) -> StoredTensor:
    """Of two copies of one tensor the one in the wider dtype; raises ModelError if their values differ."""
    if one is other:
        return one
    narrow, wide = sorted((one, other), key=lambda tensor: ITEM_BYTES[tensor.dtype])
    rounded = [read_float(tensor).to(float_dtype(narrow.dtype)) for tensor in (narrow, wide)]
    if not torch.equal(*rounded):
        raise ModelError(
            f"{weight} is in {one.file.name} and in {other.file.name} of {one.file.parent} with different values: "
            "remove the wrong one."
        )
    return wide


def _rows(folder: Path, weight: str, parts: dict[str, StoredTensor], settings: LoraSettings) -> TokenRows:
    tensor = parts["tokens"]
    rows = settings.tokens_of(tensor.name.removeprefix(PEFT_PREFIX).partition(".token_adapter")[0])
    if len(parts) > 1:
        raise ModelError(f"{folder} has a LoRA of {weight} and single rows of it: use PEFT itself.")
    if len(tensor.shape) != 2 or tensor.shape[0] != len(rows):
        raise ModelError(
            f"{folder} holds {tensor.shape[0]} rows of {weight}, and its trainable_token_indices name {len(rows)}: "
            "the two files belong to different runs."
        )
    return TokenRows(rows, tensor)


def _names_in_settings(
    parts_of: Mapping[str, Mapping[str, StoredTensor]], settings: LoraSettings, names: TensorNames
) -> dict[str, str]:
    """The module name of each weight in the settings' patterns: of the naming scheme whose ranks fit all matrices.

    The patterns may use a different scheme from the file, since tools that rename tensors leave the patterns unchanged.
    """
    ranks = {weight: parts.get("A", parts.get("embedding_A")) for weight, parts in parts_of.items()}
    stored = {weight: _module(next(iter(parts.values()))) for weight, parts in parts_of.items()}
    canonical = {weight: weight.removesuffix(".weight") for weight in parts_of}
    older = zip(*(names.older_modules(name) for name in canonical.values()), strict=True)
    for scheme in (stored, canonical, *(dict(zip(parts_of, modules, strict=True)) for modules in older)):
        if all(a is None or a.shape[:1] == (settings.rank_of(scheme[weight]),) for weight, a in ranks.items()):
            return scheme
    return stored


def _module(tensor: StoredTensor) -> str:
    """The name of a tensor's module in the adapter's file."""
    return _WRAPPED.sub("", tensor.name.removeprefix(PEFT_PREFIX).partition(".lora_")[0])


def _pair(
    folder: Path, weight: str, module: str, parts: Mapping[str, StoredTensor], settings: LoraSettings
) -> LoraPair:
    embedding = "embedding_A" in parts or "embedding_B" in parts
    names = ("embedding_A", "embedding_B") if embedding else ("A", "B")
    for part in (*names, *(("magnitude",) if settings.dora else ())):
        if part not in parts:
            name = part if part == "magnitude" else f"lora_{part}"
            raise lacks(folder, f"{name} of {weight}", "fetch the checkpoint again, or merge another")
    if "magnitude" in parts and not settings.dora:
        raise ModelError(f"{folder} holds a magnitude of {weight} and says use_dora = false: fetch it again.")
    if settings.dora and embedding:
        raise ModelError(f"{folder} has DoRA on {weight}, an embedding, which rsvlm cannot merge: use PEFT itself.")
    a, b = (parts[name] for name in names)
    rank = settings.rank_of(module)
    if len(a.shape) < 2 or len(b.shape) != len(a.shape) or a.shape[0] != rank or b.shape[1] != rank:
        raise ModelError(
            f"The LoRA matrices of {weight} in {folder} have shapes {a.shape} and {b.shape}, "
            f"not those of rank {rank} as its adapter_config.json says: the two files belong to different runs."
        )
    return LoraPair(a, b, settings.scale_of(module), parts.get("magnitude"), embedding)
