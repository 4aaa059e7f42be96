"""Read the rank and scale of each module from adapter_config.json as PEFT does; refuse unsupported kinds."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import DataError, ModelError, shortened
from tasks.files import fits_utf8, read_json
from tasks.model.configuration import CONFIG
from tasks.paths import ADAPTER_CONFIG, FINAL

# With these settings, and with all use_... except SUPPORTED_USES, the result is not W + scale * B @ A. Settings that
# choose which weights have matrices are not needed here: the tensor names show it.
UNSUPPORTED = (
    *("lora_bias", "layer_replication", "alora_invocation_tokens"),
    *("arrow_config", "kasa_config", "monteclora_config"),
)
SUPPORTED_USES = ("use_rslora", "use_dora")
# Initialisations that leave the base's weights unchanged. PiSSA, OLoRA, LoftQ, CorDA and LoRA-GA change them; PEFT can
# convert such an adapter to the original base (path_initial_model_for_weight_conversion), and then writes True here.
SUPPORTED_INITS = (None, True, False, "gaussian", "orthogonal", "eva", "mica")


@dataclass(frozen=True)
class LoraSettings:
    """Rank and alpha of all modules; the patterns are regular expressions that match the end of a module's name.

    `tokens` maps the end of a module's name ("" for the embedding) to the numbers of its trained rows.
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
        """The rank of a module's LoRA matrices."""
        return _matched(self.rank_pattern, module, self.rank)

    def scale_of(self, module: str) -> float:
        """The factor of B @ A for a module: alpha / r, for rsLoRA alpha / sqrt(r)."""
        rank = self.rank_of(module)
        return _matched(self.alpha_pattern, module, self.alpha) / (math.sqrt(rank) if self.rslora else rank)

    def tokens_of(self, module: str) -> tuple[int, ...]:
        """The numbers of the trained rows of a module's weight."""
        named = (rows for name, rows in self.tokens.items() if f".{module}".endswith(f".{name}"))
        return next(named, self.tokens.get("", ()))


def _matched(patterns: Mapping[str, Any], module: str, otherwise: Any) -> Any:
    """The value of the first pattern that matches, as in peft.utils.get_pattern_key."""
    return next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", module)), otherwise)


def read_lora_config(folder: Path) -> LoraSettings:
    """Read adapter_config.json; raises ModelError if it is missing, damaged, not LoRA or of an unsupported kind."""
    file = folder / ADAPTER_CONFIG
    try:
        config = read_json(file)
    except DataError as error:
        raise ModelError(_no_adapter(folder, error)) from None
    if not isinstance(config, dict) or not fits_utf8(config) or config.get("peft_type") != "LORA":
        kind = shortened(config.get("peft_type")) if isinstance(config, dict) else "no JSON object"
        raise ModelError(
            f"{file} does not describe a LoRA adapter but {kind}: rsvlm merges and runs only LoRA; use PEFT itself."
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
            raise ModelError(f"{file} gives an invalid {name}: fetch the checkpoint again.")
    ranks = (settings.rank, *settings.rank_pattern.values())
    alphas = (settings.alpha, *settings.alpha_pattern.values())
    if not all(type(rank) is int and rank > 0 for rank in ranks):
        raise ModelError(f"{file} lacks r, or gives an invalid rank: fetch the checkpoint again.")
    if not all(isinstance(alpha, int | float) and alpha for alpha in alphas):
        raise ModelError(f"{file} lacks lora_alpha, or gives an invalid one: fetch the checkpoint again.")
    return settings


def _no_adapter(folder: Path, error: DataError) -> str:
    # PEFT saves an adapter with a name in a subfolder of that name
    inner = sorted(
        (found.parent for found in folder.glob(f"*/{ADAPTER_CONFIG}")), key=lambda path: (path.name != FINAL, path)
    )
    if (folder / ADAPTER_CONFIG).exists():
        return f"{folder} is not a LoRA adapter: {error}"
    if not inner and (folder / CONFIG).is_file():
        return f"{folder} holds a complete model and no adapter: give it as the model itself, without an adapter."
    fix = f"give {inner[0]}, which has one" if inner else "give a complete checkpoint of a LoRA training"
    return f"{folder} lacks {ADAPTER_CONFIG}: {fix}."


def _tokens(file: Path, indices: Any) -> dict[str, tuple[int, ...]]:
    """Row numbers by module; raises ModelError if they are invalid."""
    by_module = indices if isinstance(indices, dict) else {"": indices}
    for rows in by_module.values():
        if not isinstance(rows, list) or not all(type(row) is int and row >= 0 for row in rows):
            raise ModelError(f"{file} gives invalid trainable_token_indices: fetch the checkpoint again.")
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
    init = config.get("init_lora_weights")
    if used:
        raise ModelError(
            f"{folder} was trained with {used[0]} = {shortened(config[used[0]])}, which rsvlm cannot merge or "
            "run: use PEFT itself, or train plain LoRA, rsLoRA or DoRA."
        )
    if init not in SUPPORTED_INITS:
        raise ModelError(
            f"{folder} was trained with init_lora_weights = {shortened(init)}, which changes the base's weights "
            "before training: use PEFT itself, or save it with path_initial_model_for_weight_conversion."
        )
