"""What adapter_config.json says of how a merged weight comes about, as PEFT reads it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import DataError, ModelError
from tasks.files import fits_utf8, read_json
from tasks.paths import ADAPTER_CONFIG

# Each of these changes what a merged weight is, and is not what this merge computes.
UNSUPPORTED = (
    *("use_qalora", "use_bdlora", "lora_bias", "fan_in_fan_out", "layer_replication", "target_parameters"),
    *("trainable_token_indices", "alora_invocation_tokens", "kasa_config", "monteclora_config"),
)
# Starts that leave the base weights as they are; PiSSA, OLoRA, LoftQ and CorDA change them.
HARMLESS_STARTS = (None, True, False, "gaussian", "orthogonal", "eva")


@dataclass(frozen=True)
class LoraSettings:
    """Rank and scale of every module; the patterns are regular expressions for the end of a module's name."""

    rank: int
    alpha: float
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    rslora: bool
    dora: bool
    base_name: str

    def rank_of(self, module: str) -> int:
        """The rank of a module's two matrices."""
        return _matched(self.rank_pattern, module, self.rank)

    def scale_of(self, module: str) -> float:
        """What the product of a module's two matrices is multiplied by: alpha/r, for rsLoRA alpha/sqrt(r)."""
        rank = self.rank_of(module)
        return _matched(self.alpha_pattern, module, self.alpha) / (math.sqrt(rank) if self.rslora else rank)


def _matched(patterns: Mapping[str, Any], module: str, otherwise: Any) -> Any:
    """The value of the first pattern that fits, as peft.utils.get_pattern_key chooses it."""
    return next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", module)), otherwise)


def read_lora_config(folder: Path) -> LoraSettings:
    """Read adapter_config.json; ModelError when it is missing, no LoRA, or of a kind that is merged otherwise."""
    file = folder / ADAPTER_CONFIG
    try:
        config = read_json(file)
    except DataError as error:
        raise ModelError(f"{folder} is no LoRA adapter: {error}") from None
    if not isinstance(config, dict) or not fits_utf8(config) or config.get("peft_type") != "LORA":
        raise ModelError(f"{file} is not of a LoRA adapter: only LoRA can be merged.")
    _require_supported(folder, config)
    settings = LoraSettings(
        rank=config.get("r", 0),
        alpha=config.get("lora_alpha", 0),
        rank_pattern=config.get("rank_pattern") or {},
        alpha_pattern=config.get("alpha_pattern") or {},
        rslora=bool(config.get("use_rslora")),
        dora=bool(config.get("use_dora")),
        base_name=str(config.get("base_model_name_or_path") or ""),
    )
    for name, patterns in (("rank_pattern", settings.rank_pattern), ("alpha_pattern", settings.alpha_pattern)):
        if not isinstance(patterns, dict) or not all(map(_is_pattern, patterns)):
            raise ModelError(f"{file} gives a {name} that is none: fetch the checkpoint again.")
    ranks = (settings.rank, *settings.rank_pattern.values())
    alphas = (settings.alpha, *settings.alpha_pattern.values())
    if not all(isinstance(rank, int) and rank > 0 for rank in ranks):
        raise ModelError(f"{file} lacks r, or gives a rank that is none: fetch the checkpoint again.")
    if not all(isinstance(alpha, int | float) and alpha for alpha in alphas):
        raise ModelError(f"{file} lacks lora_alpha, or gives one that is none: fetch the checkpoint again.")
    return settings


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except (re.error, RecursionError):
        return False
    return True


def _require_supported(folder: Path, config: dict[str, Any]) -> None:
    used = [name for name in UNSUPPORTED if config.get(name)]
    if config.get("bias", "none") != "none":
        used.append("bias")
    if config.get("init_lora_weights") not in HARMLESS_STARTS:
        used.append("init_lora_weights")
    if used:
        raise ModelError(
            f"{folder} was trained with {used[0]} = {config[used[0]]!r}, which cannot be merged here: "
            "merge it with PEFT, or train plain LoRA, rsLoRA or DoRA."
        )
