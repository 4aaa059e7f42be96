"""What adapter_config.json says of how a merged weight comes about, as PEFT reads it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import DataError, ModelError, shortened
from tasks.files import fits_utf8, read_json
from tasks.paths import ADAPTER_CONFIG, FINAL

# Each of these makes something else of the matrices than W + scale * B @ A; so does all that PEFT calls use_..., but
# for these two. What says which weights have matrices needs nothing here: the names in the file say it.
UNSUPPORTED = (
    *("lora_bias", "layer_replication", "alora_invocation_tokens"),
    *("arrow_config", "kasa_config", "monteclora_config"),
)
SUPPORTED_USES = ("use_rslora", "use_dora")
# Starts that leave the base weights as they are. PiSSA, OLoRA, LoftQ, CorDA and LoRA-GA change them; PEFT can save such
# an adapter as one of the original base (path_initial_model_for_weight_conversion), and then says True here.
HARMLESS_STARTS = (None, True, False, "gaussian", "orthogonal", "eva", "mica")


@dataclass(frozen=True)
class LoraSettings:
    """Rank and scale of every module; the patterns are regular expressions for the end of a module's name.

    `tokens` holds the numbers of single trained rows by the end of a module's name, empty for the embedding.
    """

    rank: int
    alpha: float
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    rslora: bool
    dora: bool
    base_name: str
    tokens: Mapping[str, tuple[int, ...]]

    def rank_of(self, module: str) -> int:
        """The rank of a module's two matrices."""
        return _matched(self.rank_pattern, module, self.rank)

    def scale_of(self, module: str) -> float:
        """What the product of a module's two matrices is multiplied by: alpha/r, for rsLoRA alpha/sqrt(r)."""
        rank = self.rank_of(module)
        return _matched(self.alpha_pattern, module, self.alpha) / (math.sqrt(rank) if self.rslora else rank)

    def tokens_of(self, module: str) -> tuple[int, ...]:
        """The numbers of the rows of a module's weight that were trained alone."""
        named = (rows for name, rows in self.tokens.items() if f".{module}".endswith(f".{name}"))
        return next(named, self.tokens.get("", ()))


def _matched(patterns: Mapping[str, Any], module: str, otherwise: Any) -> Any:
    """The value of the first pattern that fits, as peft.utils.get_pattern_key chooses it."""
    return next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", module)), otherwise)


def read_lora_config(folder: Path) -> LoraSettings:
    """Read adapter_config.json; ModelError when it is missing, no LoRA, or of a kind that is merged otherwise."""
    file = folder / ADAPTER_CONFIG
    try:
        config = read_json(file)
    except DataError as error:
        raise ModelError(_no_adapter(folder, error)) from None
    if not isinstance(config, dict) or not fits_utf8(config) or config.get("peft_type") != "LORA":
        kind = shortened(config.get("peft_type")) if isinstance(config, dict) else "no kind at all"
        raise ModelError(
            f"{file} is not of a LoRA adapter but of {kind}: only LoRA can be merged or asked here; use PEFT itself."
        )
    _require_supported(folder, config)
    settings = LoraSettings(
        rank=config.get("r", 0),
        alpha=config.get("lora_alpha", 0),
        rank_pattern=config.get("rank_pattern") or {},
        alpha_pattern=config.get("alpha_pattern") or {},
        rslora=bool(config.get("use_rslora")),
        dora=bool(config.get("use_dora")),
        base_name=str(config.get("base_model_name_or_path") or ""),
        tokens=_tokens(file, config.get("trainable_token_indices") or []),
    )
    for name, patterns in (("rank_pattern", settings.rank_pattern), ("alpha_pattern", settings.alpha_pattern)):
        if not isinstance(patterns, dict) or not all(map(_is_pattern, patterns)):
            raise ModelError(f"{file} gives a {name} that is none: fetch the checkpoint again.")
    ranks = (settings.rank, *settings.rank_pattern.values())
    alphas = (settings.alpha, *settings.alpha_pattern.values())
    if not all(type(rank) is int and rank > 0 for rank in ranks):
        raise ModelError(f"{file} lacks r, or gives a rank that is none: fetch the checkpoint again.")
    if not all(isinstance(alpha, int | float) and alpha for alpha in alphas):
        raise ModelError(f"{file} lacks lora_alpha, or gives one that is none: fetch the checkpoint again.")
    return settings


def _no_adapter(folder: Path, error: DataError) -> str:
    # as PEFT saves adapters that have names
    inner = sorted(
        (found.parent for found in folder.glob(f"*/{ADAPTER_CONFIG}")), key=lambda one: (one.name != FINAL, one)
    )
    if (folder / ADAPTER_CONFIG).exists():
        return f"{folder} is no LoRA adapter: {error}"
    if not inner and (folder / "config.json").is_file():
        return f"{folder} holds a whole model and no adapter: give it as the model itself, without an adapter."
    way_out = f"give {inner[0]}, which has one" if inner else "give a complete checkpoint of a LoRA training"
    return f"{folder} lacks {ADAPTER_CONFIG}: {way_out}."


def _tokens(file: Path, indices: Any) -> dict[str, tuple[int, ...]]:
    """The numbers of rows by module; ModelError where they are none."""
    by_module = indices if isinstance(indices, dict) else {"": indices}
    for rows in by_module.values():
        if not isinstance(rows, list) or not all(type(row) is int and row >= 0 for row in rows):
            raise ModelError(f"{file} gives trainable_token_indices that are none: fetch the checkpoint again.")
    return {name: tuple(rows) for name, rows in by_module.items()}


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except (re.error, RecursionError):
        return False
    return True


def _require_supported(folder: Path, config: dict[str, Any]) -> None:
    uses = [name for name in config if name.startswith("use_") and name not in SUPPORTED_USES]
    used = [name for name in (*UNSUPPORTED, *uses) if config.get(name)]
    start = config.get("init_lora_weights")
    if used:
        raise ModelError(
            f"{folder} was trained with {used[0]} = {shortened(config[used[0]])}, which cannot be merged or asked "
            "here: use PEFT itself, or train plain LoRA, rsLoRA or DoRA."
        )
    if start not in HARMLESS_STARTS:
        raise ModelError(
            f"{folder} was trained with init_lora_weights = {shortened(start)}, which changes the base's weights "
            "before training: use PEFT itself, or save it with path_initial_model_for_weight_conversion."
        )
