"""What a training takes of each GPU's memory, by part, from the configuration alone.

Counted are the tensors that PyTorch keeps for the backward pass of transformers' LLaMA, with LoRA as PEFT adds it and
our loss, which makes logits from the batch's first answer on only. Sizes are bytes on one GPU.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.files import read_json
from tasks.preflight.model_shape import ModelShape
from tasks.settings import TrainingConfig
from tasks.training.zero_config import zero_config

GB = 1e9
ADAM_MOMENTS = 2
FLOAT32 = 4
# The context of CUDA with its kernels, and with several GPUs the buffers of NCCL.
CONTEXT_BYTES, NCCL_BYTES = 0.6 * GB, 1.0 * GB
# Of what comes and goes with each batch, the share that PyTorch's allocator holds beyond it.
FRAGMENTATION = 0.15
# At the loss, float32 log-probabilities and two gradients of their size stand side by side.
BYTES_A_LOGIT = 3 * FLOAT32
# DeepSpeed keeps so many gathered parameters at most, where its configuration does not say.
LIVE_PARAMETERS = 1_000_000_000

Attention = Literal["sdpa", "flash", "eager"]


@dataclass(frozen=True)
class BatchSize:
    """One micro-batch: its samples, the longest one's tokens with the image's, and those from the first answer on."""

    samples: int
    length: int
    answers: int

    @property
    def tokens(self) -> int:
        return self.samples * self.length


@dataclass(frozen=True)
class ZeroPlan:
    """What DeepSpeed takes apart: stage 0 is none of it."""

    stage: int = 0
    optimizer_on_cpu: bool = False
    weights_on_cpu: bool = False
    live_parameters: int = LIVE_PARAMETERS


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes on one GPU by part, and on the machine's own memory for one process where ZeRO offloads.

    `working` is the greater of what one layer takes while its gradients are made and what the logits take: the two
    never stand side by side.
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
        """All that PyTorch holds at the worst moment, without CUDA's own."""
        return self.weights + self.gathered + self.gradients + self.optimizer + self.activations + self.working

    @property
    def total(self) -> float:
        return self.tensors + self.reserve


def zero_plan(training: TrainingConfig) -> ZeroPlan:
    """What the named DeepSpeed configuration takes apart and where to."""
    if training.deepspeed is None:
        return ZeroPlan()
    zero = read_json(Path(zero_config(training.deepspeed))).get("zero_optimization", {})
    live = zero.get("stage3_max_live_parameters", LIVE_PARAMETERS)
    return ZeroPlan(
        stage=zero.get("stage", 0),
        optimizer_on_cpu=zero.get("offload_optimizer", {}).get("device", "none") != "none",
        weights_on_cpu=zero.get("offload_param", {}).get("device", "none") != "none",
        live_parameters=live if isinstance(live, int) else LIVE_PARAMETERS,
    )


def trained_parameters(shape: ModelShape, training: TrainingConfig) -> int:
    """How many parameters get gradients."""
    tower = shape.tower_parameters if training.unfreeze_mm_vision_tower else 0
    language = shape.lora_parameters(training.lora_r) if training.lora_enable else shape.language_parameters
    return language + shape.projector_parameters + tower


def all_parameters(shape: ModelShape, training: TrainingConfig) -> int:
    """The model's parameters and the adapters'."""
    return shape.parameters + (shape.lora_parameters(training.lora_r) if training.lora_enable else 0)


def estimate_memory(
    shape: ModelShape, training: TrainingConfig, batch: BatchSize, world: int, attention: Attention = "sdpa"
) -> MemoryEstimate:
    """Memory of one of `world` processes at the worst moment of a micro-batch, with gradients of earlier ones kept."""
    zero = zero_plan(training)
    kept = _kept_parts(shape, training, zero, world)
    layers_kept, working = _activations(shape, training, batch, attention)
    logits = _logits_bytes(shape, batch)
    gathered = _gathered(shape, training, zero) if world > 1 or zero.weights_on_cpu else 0
    coming_and_going = gathered + layers_kept + max(working, logits)
    cuda = CONTEXT_BYTES + (NCCL_BYTES if world > 1 else 0)
    return MemoryEstimate(
        weights=kept["weights"],
        gathered=gathered,
        gradients=kept["gradients"],
        optimizer=kept["optimizer"],
        activations=layers_kept,
        working=max(working, logits),
        reserve=0 if training.use_cpu else cuda + FRAGMENTATION * coming_and_going,
        logits=logits,
        host=kept["host"],
    )


def _element(training: TrainingConfig) -> int:
    """Bytes of a number in activations and frozen weights."""
    return 2 if training.bf16 else FLOAT32


def _mixed(training: TrainingConfig) -> bool:
    """Whether trained weights are float32 and computed with in bfloat16; under DeepSpeed they are bfloat16."""
    return training.bf16 and training.deepspeed is None


def _kept_parts(shape: ModelShape, training: TrainingConfig, zero: ZeroPlan, world: int) -> dict[str, float]:
    """What stays from step to step; with ZeRO each process has its share of it, on the GPU or in the host's memory."""
    trained = trained_parameters(shape, training)
    size = FLOAT32 if _mixed(training) else _element(training)
    frozen = (all_parameters(shape, training) - trained) * _element(training)
    weights = (frozen + trained * size) / (world if zero.stage >= 3 else 1)
    gradients = trained * size / (world if zero.stage >= 2 else 1)
    # DeepSpeed steps on float32 copies of the trained weights
    states = (ADAM_MOMENTS + (1 if zero.stage else 0)) * FLOAT32
    optimizer = trained * states / (world if zero.stage >= 1 else 1)
    if zero.stage == 0 and world > 1:
        # DistributedDataParallel keeps gradients in buckets of its own
        gradients *= 2
    host = (optimizer + gradients) * zero.optimizer_on_cpu + weights * zero.weights_on_cpu
    return {
        "weights": 0 if zero.weights_on_cpu else weights,
        "gradients": 0 if zero.optimizer_on_cpu else gradients,
        "optimizer": 0 if zero.optimizer_on_cpu else optimizer,
        "host": host,
    }


def _gathered(shape: ModelShape, training: TrainingConfig, zero: ZeroPlan) -> float:
    """Weights that ZeRO-3 has gathered at one time, those used soon again among them."""
    if zero.stage < 3:
        return 0
    return min(zero.live_parameters, all_parameters(shape, training)) * _element(training)


def _activations(
    shape: ModelShape, training: TrainingConfig, batch: BatchSize, attention: Attention
) -> tuple[float, float]:
    """What all layers keep for the backward pass, and what one layer takes besides while it is gone through."""
    layer = _layer_bytes(shape, training, batch) + _attention_bytes(shape, training, batch, attention)
    # gradients of gate, up and the hidden states around them; of adapters in float32 they are float32
    wide = FLOAT32 if _mixed(training) and training.lora_enable else _element(training)
    dropped = shape.intermediate if _mixed(training) and training.lora_enable and training.lora_dropout else 0
    working = batch.tokens * (2 * shape.intermediate + dropped + 1.5 * shape.hidden) * wide
    tower = _tower_elements(shape, batch) * _element(training) if training.unfreeze_mm_vision_tower else 0
    if training.gradient_checkpointing:
        # each layer's input, from which the rest is computed again, one layer at a time
        hidden = FLOAT32 if _mixed(training) and not training.lora_enable else _element(training)
        return shape.layers * batch.tokens * shape.hidden * hidden + tower, layer + working
    return shape.layers * (layer + _weight_copies(shape, training)) + tower, working


def _layer_bytes(shape: ModelShape, training: TrainingConfig, batch: BatchSize) -> float:
    """What one decoder layer keeps for its backward pass: inputs of norms, products, activation and linear layers."""
    hidden, inner = shape.hidden, shape.intermediate
    # inputs of both norms, q, k, v and the attention's result; gate, its activation and up
    elements = 4 * hidden + 2 * shape.key_value_width + 3 * inner
    # norms compute in float32, whatever the model's type
    others = 2 * hidden * (FLOAT32 - _element(training))
    # inputs of the seven adapters, of which q, k, v and gate, up share two
    inputs, shared = 6 * hidden + inner, 2 * hidden + inner
    if training.lora_enable:
        # an adapter that drops, or whose type is another than the model's, keeps a copy of its input
        elements += (inputs if training.lora_dropout or _mixed(training) else shared) + 7 * training.lora_r
        others += inputs * _mask_bytes(training)
    else:
        elements += 4 * hidden + inner
        # measured: norms of float32 weights hand on float32, of which each linear layer keeps a copy
        elements += 9 * hidden * _mixed(training)
    return batch.tokens * (elements * _element(training) + others)


def _mask_bytes(training: TrainingConfig) -> int:
    """Bytes of dropout's mask for a number: one, but on a CPU it is a number of the adapter's type itself."""
    if not training.lora_dropout:
        return 0
    return 1 if not training.use_cpu else FLOAT32 if _mixed(training) else _element(training)


def _weight_copies(shape: ModelShape, training: TrainingConfig) -> float:
    """Trained float32 weights of a layer in the type that is computed with, kept until the backward pass."""
    if not _mixed(training):
        return 0
    lora = shape.lora_parameters(training.lora_r) / shape.layers
    return (lora if training.lora_enable else shape.layer_parameters) * _element(training)


def _attention_bytes(shape: ModelShape, training: TrainingConfig, batch: BatchSize, attention: Attention) -> float:
    """Attention weights of all pairs of tokens, which only the eager kind keeps: before and after the softmax."""
    if attention != "eager":
        return batch.tokens * shape.heads * FLOAT32
    return batch.tokens * batch.length * shape.heads * (FLOAT32 + _element(training))


def _tower_elements(shape: ModelShape, batch: BatchSize) -> int:
    """Numbers that a trained tower keeps: about 22 times its width a layer and image token."""
    layer = 10 * shape.tower_hidden + 3 * shape.tower_intermediate
    return batch.samples * shape.image_tokens * shape.tower_layers * layer


def _logits_bytes(shape: ModelShape, batch: BatchSize) -> float:
    return batch.samples * batch.answers * shape.vocabulary * BYTES_A_LOGIT
