"""Which parameters are trained: LoRA on the language model's linear layers and the full projector, or all weights."""

from math import prod
from typing import TYPE_CHECKING, TypedDict

from tasks.model.family import ModelFamily
from tasks.model.tensor_names import TensorNames
from tasks.settings import TrainingConfig

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


class ParameterGroup(TypedDict):
    """Parameters that an optimizer updates with the same settings."""

    params: "list[torch.nn.Parameter]"
    weight_decay: float
    lr: float | None


def prepare_trainable(model: "PreTrainedModel", config: TrainingConfig, family: ModelFamily) -> "torch.nn.Module":
    """Freeze the other parameters and attach adapters; seeds the adapters' initial values.

    Trained parameters are float32, whatever the type of the base: bfloat16 would round small updates away. DeepSpeed
    keeps its own float32 copies.
    """
    from transformers import set_seed

    # before the adapters, or their initial values would depend on whatever ran earlier
    set_seed(config.seed)
    if config.lora_enable:
        model.requires_grad_(False)
        trained = _with_lora(model, config, family.lora_targets(model))
    else:
        trained = model
    for name, parameter in trained.named_parameters():
        if family.names.is_projector(name):
            parameter.requires_grad_("projector" not in config.freeze)
        elif family.names.is_tower(name):
            parameter.requires_grad_(config.unfreeze_mm_vision_tower)
        elif "language_model" in config.freeze:
            parameter.requires_grad_(False)
        if parameter.requires_grad and config.deepspeed is None:
            parameter.data = parameter.data.float()
    return trained


def _with_lora(model: "PreTrainedModel", config: TrainingConfig, targets: str | list[str]) -> "torch.nn.Module":
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=targets,
        bias="none",
        task_type="CAUSAL_LM",
    )
    # ZeRO-3 cannot gather adapters whose type differs from the model's
    return get_peft_model(model, lora, autocast_adapter_dtype=False)


def non_lora_names(model: "torch.nn.Module", names: TensorNames) -> set[str]:
    """Names of the parameters that a checkpoint holds in full: those trained without LoRA, and the projector's.

    A projector that is not trained is saved, too: each checkpoint is complete, and is loaded and merged like any other.
    """
    return {
        name
        for name, value in model.named_parameters()
        if "lora_" not in name and (value.requires_grad or names.is_projector(name))
    }


def optimizer_groups(model: "torch.nn.Module", config: TrainingConfig, names: TensorNames) -> list[ParameterGroup]:
    """LLaVA's parameter groups: with and without weight decay, and the projector at its own learning rate.

    Source: `LLaVATrainer.create_optimizer` of the LLaVA reference.
    """
    own_rate = config.mm_projector_lr is not None
    # the main learning rate first: the trainer logs that of the first group
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {
        (projector, decays): [] for projector in (False, True) for decays in (True, False)
    }
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[own_rate and names.is_projector(name), len(full_shape(parameter)) > 1].append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": config.weight_decay if decays else 0.0,
            "lr": config.mm_projector_lr if projector else config.learning_rate,
        }
        for (projector, decays), parameters in groups.items()
        if parameters
    ]


def full_shape(parameter: "torch.Tensor") -> tuple[int, ...]:
    """A parameter's shape, also if ZeRO-3 has partitioned it."""
    return tuple(getattr(parameter, "ds_shape", parameter.shape))


def count_parameters(model: "torch.nn.Module") -> tuple[int, int]:
    """Number of trainable and of all parameters of a model."""
    sizes = [(prod(full_shape(p)), p.requires_grad) for p in model.parameters()]
    return sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes)
