"""A LoRA adapter as PEFT writes it, ours or the original LLaVA's, by canonical names."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tasks.errors import DataError, ModelError
from tasks.files import read_json
from tasks.merging.tensor_files import StoredTensor, read_float, read_tensors
from tasks.model.formats import canonical_name, lora_name
from tasks.model.non_lora import read_non_lora
from tasks.paths import ADAPTER_CONFIG, ADAPTER_WEIGHTS, NON_LORA_WEIGHTS

# Each of these changes what a merged weight is, and is not what this merge computes.
UNSUPPORTED = (
    *("use_dora", "use_qalora", "use_bdlora", "lora_bias", "fan_in_fan_out", "layer_replication"),
    *("target_parameters", "trainable_token_indices", "alora_invocation_tokens", "kasa_config"),
    *("monteclora_config", "rank_pattern", "alpha_pattern"),
)
# Starts that leave the base weights as they are; PiSSA, OLoRA, LoftQ and CorDA change them.
HARMLESS_STARTS = (None, True, False, "gaussian", "orthogonal", "eva")


@dataclass(frozen=True)
class LoraPair:
    """The two matrices of one weight: A of rank x inputs, B of outputs x rank."""

    a: StoredTensor
    b: StoredTensor

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.b.shape[:-1], *self.a.shape[1:])

    def delta(self) -> torch.Tensor:
        """B @ A in fp32, not scaled."""
        return read_float(self.b) @ read_float(self.a)


@dataclass(frozen=True)
class Adapter:
    """What training changed: LoRA pairs and tensors trained in full, by the canonical name of the weight."""

    folder: Path
    scale: float
    pairs: dict[str, LoraPair]
    trained: dict[str, torch.Tensor]


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter directory; ModelError when it is incomplete, damaged or of an unsupported kind."""
    config = _read_config(folder)
    rank = config["r"]
    pairs, trained = _read_weights(folder, rank)
    extra = _read_non_lora(folder)
    twice = sorted(set(trained) & set(extra))
    if twice:
        raise ModelError(f"{twice[0]} stands in both {ADAPTER_WEIGHTS} and {NON_LORA_WEIGHTS} of {folder}: drop one.")
    scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return Adapter(folder, scale, pairs, {**trained, **extra})


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = read_json(folder / ADAPTER_CONFIG)
    except DataError as error:
        raise ModelError(f"{folder} is no LoRA adapter: {error}") from None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise ModelError(f"{folder / ADAPTER_CONFIG} is not of a LoRA adapter: only LoRA can be merged.")
    used = [name for name in UNSUPPORTED if config.get(name)]
    if config.get("bias", "none") != "none":
        used.append("bias")
    if config.get("init_lora_weights") not in HARMLESS_STARTS:
        used.append("init_lora_weights")
    if used:
        raise ModelError(
            f"{folder} was trained with {used[0]} = {config[used[0]]!r}, which cannot be merged here: "
            "merge it with PEFT, or train plain LoRA or rsLoRA."
        )
    if not (isinstance(config.get("r"), int) and config["r"] > 0 and isinstance(config.get("lora_alpha"), int | float)):
        raise ModelError(f"{folder / ADAPTER_CONFIG} lacks r or lora_alpha: fetch the checkpoint again.")
    return config


def _read_weights(folder: Path, rank: int) -> tuple[dict[str, LoraPair], dict[str, torch.Tensor]]:
    halves: dict[str, dict[str, StoredTensor]] = {}
    trained = {}
    for tensor in read_tensors(folder / ADAPTER_WEIGHTS):
        lora = lora_name(tensor.name)
        if lora is not None:
            halves.setdefault(lora.weight, {})[lora.side] = tensor
        elif "lora_" in tensor.name:
            raise ModelError(f"{tensor.name} in {folder} is no plain LoRA matrix: merge it with PEFT.")
        else:
            trained[canonical_name(tensor.name)] = read_float(tensor)
    return {weight: _pair(folder, weight, sides, rank) for weight, sides in halves.items()}, trained


def _pair(folder: Path, weight: str, sides: dict[str, StoredTensor], rank: int) -> LoraPair:
    for side in "AB":
        if side not in sides:
            raise ModelError(f"{folder} lacks lora_{side} of {weight}: fetch the checkpoint again, or merge another.")
    pair = LoraPair(sides["A"], sides["B"])
    if len(pair.a.shape) != 2 or len(pair.b.shape) != 2 or pair.a.shape[0] != rank or pair.b.shape[1] != rank:
        raise ModelError(
            f"The LoRA matrices of {weight} in {folder} have shapes {pair.a.shape} and {pair.b.shape}, "
            f"not those of rank {rank} as {ADAPTER_CONFIG} says: the two files belong to different runs."
        )
    return pair


def _read_non_lora(folder: Path) -> dict[str, torch.Tensor]:
    if not (folder / NON_LORA_WEIGHTS).is_file():
        return {}
    return {canonical_name(name): value for name, value in read_non_lora(folder).items()}
