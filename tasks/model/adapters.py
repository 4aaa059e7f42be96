"""Put an adapter, ours or the original LLaVA's, on a base model of either layout."""

import warnings
from pathlib import Path
from typing import Any

from tasks.errors import ModelError
from tasks.model.configuration import readable
from tasks.model.formats import PEFT_PREFIX, canonical_name, lora_name
from tasks.model.non_lora import read_non_lora
from tasks.model.weights import read_tensors
from tasks.paths import ADAPTER_CONFIG, ADAPTER_WEIGHTS, NON_LORA_WEIGHTS

TORCH_WEIGHTS = "adapter_model.bin"


def require_adapter(adapter: Path) -> None:
    """Raise ModelError for a directory that lacks a part of an adapter: before a base is loaded for minutes."""
    for name in (ADAPTER_CONFIG, NON_LORA_WEIGHTS):
        if not (adapter / name).is_file():
            raise ModelError(f"{adapter} lacks {name}: give a complete checkpoint of a LoRA training.")


def apply_adapter(model: Any, adapter: Path) -> Any:
    """Put a LoRA adapter and its projector on a base model; raises ModelError when either does not fit."""
    from peft import LoraConfig, PeftConfig, PeftModel
    from peft.utils import set_peft_model_state_dict

    require_adapter(adapter)
    weights = _lora_weights(adapter)
    with readable("adapter", adapter, "fetch it again, or give the base that it was trained on"):
        config = PeftConfig.from_pretrained(str(adapter))
        if not isinstance(config, LoraConfig):
            raise ValueError(f"{ADAPTER_CONFIG} is not of a LoRA adapter")
        config.inference_mode = True
        # they are in the file with the projector, too, which is read below
        config.modules_to_save = None
        # the names that the original gives would also mean the vision tower's layers
        config.target_modules = {name.partition(".lora_")[0].removeprefix(PEFT_PREFIX) for name in weights}
        with warnings.catch_warnings():
            # PEFT asks transformers for a name that the next major version drops
            warnings.simplefilter("ignore", FutureWarning)
            tuned = PeftModel(model, config, autocast_adapter_dtype=False)
        found = set_peft_model_state_dict(tuned, weights)
    lacking = [name for name in found.missing_keys if "lora_" in name]
    if lacking:
        raise ModelError(f"{adapter} lacks {lacking[0]}: fetch the checkpoint again.")
    load_projector(tuned, adapter)
    return tuned.eval()


def _lora_weights(adapter: Path) -> dict[str, Any]:
    """LoRA matrices by the names that PEFT gives them on a transformers LLaVA."""
    files = [adapter / name for name in (ADAPTER_WEIGHTS, TORCH_WEIGHTS) if (adapter / name).is_file()]
    if not files:
        raise ModelError(f"{adapter} lacks {ADAPTER_WEIGHTS}: give a complete checkpoint of a LoRA training.")
    weights = {}
    beside = read_non_lora(adapter)
    for name, value in read_tensors(files[0]).items():
        lora = lora_name(name)
        if name in beside and lora is None:
            continue
        if lora is None:
            raise ModelError(f"{name} in {files[0]} is no LoRA matrix: give a checkpoint of a LoRA training of LLaVA.")
        weights[f"{PEFT_PREFIX}{lora.weight.removesuffix('.weight')}.lora_{lora.side}.weight"] = value
    return weights


def load_projector(model: Any, adapter: Path) -> None:
    """Read non_lora_trainables.bin into a PEFT model; raises ModelError when a name or shape does not fit."""
    weights = {PEFT_PREFIX + canonical_name(name): value for name, value in read_non_lora(adapter).items()}
    known = model.state_dict()
    strange = [name for name, value in weights.items() if name not in known or known[name].shape != value.shape]
    if strange:
        raise ModelError(f"{adapter}/{NON_LORA_WEIGHTS} does not fit the base model, first at {strange[0]}.")
    model.load_state_dict(weights, strict=False)
