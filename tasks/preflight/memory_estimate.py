"""Estimate the GPU memory of a training, by part, from the configuration alone.

It counts the tensors that PyTorch keeps for the backward pass of transformers' LLaMA, with PEFT's LoRA and our loss,
which computes logits only from the batch's first answer on. All sizes are bytes on one GPU.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.files import read_json
from tasks.model.shape import ModelShape
from tasks.settings import TrainingConfig
from tasks.training.arguments import deepspeed_config

GB = 1e9
ADAM_MOMENTS = 2
FLOAT32 = 4
# CUDA's context with its kernels, and NCCL's buffers if there are several GPUs.
CONTEXT_BYTES, NCCL_BYTES = 0.6 * GB, 1.0 * GB
# Extra memory held by PyTorch's allocator, as a share of what is allocated for each batch.
FRAGMENTATION = 0.15
# The loss needs float32 log-probabilities and two gradients of the same size at once.
BYTES_PER_LOGIT = 3 * FLOAT32
# DeepSpeed's default for the maximum number of gathered parameters.
LIVE_PARAMETERS = 1_000_000_000

Attention = Literal["sdpa", "flash", "eager"]


@dataclass(frozen=True)
class BatchSize:
    """One micro-batch: samples, tokens of the longest one including its image, and those from the first answer on."""

    samples: int
    length: int
    answers: int

    @property
    def tokens(self) -> int:
        return self.samples * self.length


@dataclass(frozen=True)
class ZeroPlan:
    """What DeepSpeed partitions and offloads; stage 0: nothing."""

    stage: int = 0
    optimizer_on_cpu: bool = False
    weights_on_cpu: bool = False
    live_parameters: int = LIVE_PARAMETERS


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on one GPU by part, and in `host` memory for one process if ZeRO offloads.

    `working` is the larger of one layer's backward pass and the logits, which are never in memory together.
    """

    weights: float
    gathered: float
    gradients: float
    optimizer: float
    activations: float
    working: float
    reserve: float
    logits: float
    host: float

    @property
    def tensors(self) -> float:
        """Peak of all tensors, without CUDA's own memory."""
        return self.weights + self.gathered + self.gradients + self.optimizer + self.activations + self.working

    @property
    def total(self) -> float:
        return self.tensors + self.reserve


def zero_plan(training: TrainingConfig) -> ZeroPlan:
    """What the DeepSpeed configuration of the settings partitions and offloads."""
    if training.deepspeed is None:
        return ZeroPlan()
    zero = read_json(Path(deepspeed_config(training.deepspeed))).get("zero_optimization", {})
    live = zero.get("stage3_max_live_parameters", LIVE_PARAMETERS)
    return ZeroPlan(
        stage=zero.get("stage", 0),
        optimizer_on_cpu=zero.get("offload_optimizer", {}).get("device", "none") != "none",
        weights_on_cpu=zero.get("offload_param", {}).get("device", "none") != "none",
        live_parameters=live if isinstance(live, int) else LIVE_PARAMETERS,
    )


def trained_parameters(shape: ModelShape, training: TrainingConfig) -> int:
    """Number of parameters with gradients."""
    tower = shape.tower_parameters if training.unfreeze_mm_vision_tower else 0
    projector = 0 if "projector" in training.freeze else shape.projector_parameters
    if "language_model" in training.freeze:
        return projector + tower
    language = shape.lora_parameters(training.lora_r) if training.lora_enable else shape.language_parameters
    return language + projector + tower


def all_parameters(shape: ModelShape, training: TrainingConfig) -> int:
    """Number of parameters of the model and its adapters."""
    return shape.parameters + (shape.lora_parameters(training.lora_r) if training.lora_enable else 0)


def estimate_memory(
    shape: ModelShape, training: TrainingConfig, batch: BatchSize, world: int, attention: Attention = "sdpa"
) -> MemoryEstimate:
    """Peak memory of one of `world` processes during a micro-batch, with the gradients of earlier ones kept."""
    zero = zero_plan(training)
    kept = _kept_parts(shape, training, zero, world)
    layers_kept, working = _activations(shape, training, batch, attention)
    logits = _logits_bytes(shape, batch)
    gathered = _gathered(shape, training, zero) if world > 1 or zero.weights_on_cpu else 0
    transient = gathered + layers_kept + max(working, logits)
    cuda = CONTEXT_BYTES + (NCCL_BYTES if world > 1 else 0)
    return MemoryEstimate(
        weights=kept["weights"],
        gathered=gathered,
        gradients=kept["gradients"],
        optimizer=kept["optimizer"],
        activations=layers_kept,
        working=max(working, logits),
        reserve=0 if training.use_cpu else cuda + FRAGMENTATION * transient,
        logits=logits,
        host=kept["host"],
    )


def _element(training: TrainingConfig) -> int:
    """Bytes per element of activations and frozen weights."""
    return 2 if training.bf16 else FLOAT32


def _mixed(training: TrainingConfig) -> bool:
    """Whether trained weights are float32 and computed with in bfloat16; with DeepSpeed they are bfloat16."""
    return training.bf16 and training.deepspeed is None


def _kept_parts(shape: ModelShape, training: TrainingConfig, zero: ZeroPlan, world: int) -> dict[str, float]:
    """What stays from step to step; with ZeRO each process holds a shard, on the GPU or in host memory."""
    trained = trained_parameters(shape, training)
    size = FLOAT32 if _mixed(training) else _element(training)
    frozen = (all_parameters(shape, training) - trained) * _element(training)
    weights = (frozen + trained * size) / (world if zero.stage >= 3 else 1)
    gradients = trained * size / (world if zero.stage >= 2 else 1)
    # DeepSpeed updates float32 copies of the trained weights
    states = (ADAM_MOMENTS + (1 if zero.stage else 0)) * FLOAT32
    optimizer = trained * states / (world if zero.stage >= 1 else 1)
    if zero.stage == 0 and world > 1:
        # DistributedDataParallel copies gradients into buckets
        gradients *= 2
    host = (optimizer + gradients) * zero.optimizer_on_cpu + weights * zero.weights_on_cpu
    return {
        "weights": 0 if zero.weights_on_cpu else weights,
        "gradients": 0 if zero.optimizer_on_cpu else gradients,
        "optimizer": 0 if zero.optimizer_on_cpu else optimizer,
        "host": host,
    }


def _gathered(shape: ModelShape, training: TrainingConfig, zero: ZeroPlan) -> float:
    """Weights that ZeRO-3 holds gathered at once, including those kept for reuse."""
    if zero.stage < 3:
        return 0
    return min(zero.live_parameters, all_parameters(shape, training)) * _element(training)


def _activations(
    shape: ModelShape, training: TrainingConfig, batch: BatchSize, attention: Attention
) -> tuple[float, float]:
    """What all layers keep for the backward pass, and what one layer needs in addition during its own."""
    layer = _layer_bytes(shape, training, batch) + _attention_bytes(shape, training, batch, attention)
    # gradients of gate, up and the hidden states around them; float32 if the adapters are
    wide = FLOAT32 if _mixed(training) and training.lora_enable else _element(training)
    dropped = shape.intermediate if _mixed(training) and training.lora_enable and training.lora_dropout else 0
    working = batch.tokens * (2 * shape.intermediate + dropped + 1.5 * shape.hidden) * wide
    tower = _tower_elements(shape, batch) * _element(training) if training.unfreeze_mm_vision_tower else 0
    if training.gradient_checkpointing:
        # each layer's input, from which the rest is recomputed, one layer at a time
        hidden = FLOAT32 if _mixed(training) and not training.lora_enable else _element(training)
        return shape.layers * batch.tokens * shape.hidden * hidden + tower, layer + working
    return shape.layers * (layer + _weight_copies(shape, training)) + tower, working


def _layer_bytes(shape: ModelShape, training: TrainingConfig, batch: BatchSize) -> float:
    """What one decoder layer keeps for its backward pass: inputs of norms, products, activation and linear layers."""
    hidden, inner = shape.hidden, shape.intermediate
    # inputs of both norms, q, k, v and the attention output; gate, its activation and up
    elements = 4 * hidden + 2 * shape.key_value_width + 3 * inner
    # norms compute in float32, whatever the model's type
    others = 2 * hidden * (FLOAT32 - _element(training))
    # inputs of the seven adapters, of which q, k, v and gate, up share two
    inputs, shared = 6 * hidden + inner, 2 * hidden + inner
    if training.lora_enable:
        # an adapter with dropout, or with a dtype other than the model's, keeps a copy of its input
        elements += (inputs if training.lora_dropout or _mixed(training) else shared) + 7 * training.lora_r
        others += inputs * _mask_bytes(training)
    else:
        elements += 4 * hidden + inner
        # measured: norms with float32 weights output float32, and each linear layer keeps a copy of it
        elements += 9 * hidden * _mixed(training)
    return batch.tokens * (elements * _element(training) + others)


def _mask_bytes(training: TrainingConfig) -> int:
    """Bytes per element of dropout's mask: one, but on a CPU it has the adapter's type."""
    if not training.lora_dropout:
        return 0
    return 1 if not training.use_cpu else FLOAT32 if _mixed(training) else _element(training)


def _weight_copies(shape: ModelShape, training: TrainingConfig) -> float:
    """Copies of a layer's trained float32 weights in bfloat16, kept until the backward pass."""
    if not _mixed(training):
        return 0
    lora = shape.lora_parameters(training.lora_r) / shape.layers
    return (lora if training.lora_enable else shape.layer_parameters) * _element(training)


def _attention_bytes(shape: ModelShape, training: TrainingConfig, batch: BatchSize, attention: Attention) -> float:
    """Attention weights of all pairs of tokens, before and after the softmax; only eager attention keeps them."""
    if attention != "eager":
        return batch.tokens * shape.heads * FLOAT32
    return batch.tokens * batch.length * shape.heads * (FLOAT32 + _element(training))


def _tower_elements(shape: ModelShape, batch: BatchSize) -> int:
    """Number of elements that a trained tower keeps: about 22 times its width per layer and image token."""
    layer = 10 * shape.tower_hidden + 3 * shape.tower_intermediate
    return batch.samples * shape.image_tokens * shape.tower_layers * layer


def _logits_bytes(shape: ModelShape, batch: BatchSize) -> float:
    return batch.samples * batch.answers * shape.vocabulary * BYTES_PER_LOGIT
