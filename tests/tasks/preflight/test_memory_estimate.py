"""The memory estimate against the peak that PyTorch's allocator sees in real training steps on the CPU."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from tasks.files import read_json
from tasks.model.llava.shape import published_shape, read_shape
from tasks.model.shape import ModelShape
from tasks.preflight.memory_estimate import BatchSize, MemoryEstimate, estimate_memory, trained_parameters, zero_plan
from tasks.settings import TrainingConfig

TOLERANCE = 0.07
IMAGE_TOKENS, PATCH = 64, 8
SETTINGS: dict[str, Any] = {"lora_r": 16, "lora_dropout": 0.0, "bf16": False, "use_cpu": True}


class Size(NamedTuple):
    """A toy LLaVA and its batch."""

    hidden: int = 256
    layers: int = 4
    vocabulary: int = 1024
    samples: int = 2
    length: int = 512
    answers: int = 64


def model_config(size: Size) -> dict[str, Any]:
    return {
        "text_config": {
            "hidden_size": size.hidden, "intermediate_size": 2 * size.hidden + 176, "num_hidden_layers": size.layers,
            "num_attention_heads": 8, "num_key_value_heads": 8, "vocab_size": size.vocabulary,
        },
        "vision_config": {
            "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4,
            "image_size": 64, "patch_size": PATCH,
        },
    }  # fmt: skip


def make_model(size: Size, training: TrainingConfig) -> Any:
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    from tasks.model.llava.family import FAMILY
    from tasks.training.trainable import prepare_trainable

    plain = model_config(size)
    config = LlavaConfig(
        text_config=LlamaConfig(**plain["text_config"]),
        vision_config=CLIPVisionConfig(**plain["vision_config"]),
        image_token_index=4,
        image_seq_length=IMAGE_TOKENS,
    )
    dtype = torch.bfloat16 if training.bf16 else torch.float32
    model = prepare_trainable(LlavaForConditionalGeneration(config).to(dtype).train(), training, FAMILY)
    if training.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    return model


def make_batch(size: Size, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, size.vocabulary, (size.samples, size.length))
    ids[:, 1 : 1 + IMAGE_TOKENS] = 4
    labels = ids.clone()
    labels[:, : size.length - size.answers] = -100
    return {
        "input_ids": ids,
        "labels": labels,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.rand(size.samples, 3, 64, 64).to(dtype),
    }


def peak_bytes(work: Callable[[], None]) -> int:
    """Peak of PyTorch's allocations, relative to the start."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    events = (event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]")
    now = highest = 0
    for _, change in sorted((event.start_ns(), event.nbytes()) for event in events):
        now += change
        highest = max(highest, now)
    return highest


def measure(size: Size, training: TrainingConfig) -> dict[str, int]:
    """Bytes of weights, gradients and optimizer, and the additional memory of a later micro-batch."""
    from tasks.model.llava.tensor_names import NAMES
    from tasks.training.trainable import optimizer_groups
    from tasks.training.trainer import answer_logits, mean_loss

    model, batch = make_model(size, training), make_batch(size, torch.bfloat16 if training.bf16 else torch.float32)
    optimizer = torch.optim.AdamW(optimizer_groups(model, training, NAMES))

    def micro_batch() -> None:
        # as transformers' Trainer does it, unless DeepSpeed has made the whole model bfloat16
        with torch.autocast("cpu", torch.bfloat16, enabled=training.bf16 and training.deepspeed is None):
            loss = mean_loss(*answer_logits(model, batch)[:2])
        loss.backward()

    micro_batch()
    optimizer.step()
    states = [value for state in optimizer.state.values() for value in state.values()]
    return {
        "weights": bytes_of(model.parameters()),
        "gradients": bytes_of(value.grad for value in model.parameters() if value.grad is not None),
        "optimizer": bytes_of(states),
        "passing": peak_bytes(micro_batch),
    }


def bytes_of(tensors: Iterable[torch.Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in tensors)


def estimate(size: Size, training: TrainingConfig) -> MemoryEstimate:
    batch = BatchSize(size.samples, size.length, size.answers)
    return estimate_memory(read_shape(model_config(size)), training, batch, world=1)


@pytest.mark.parametrize(
    ("size", "settings"),
    [
        (Size(), {"gradient_checkpointing": False}),
        (Size(hidden=512, layers=2), {"gradient_checkpointing": False, "lora_r": 64, "lora_dropout": 0.05}),
        (Size(layers=8, length=1024, samples=1), {"gradient_checkpointing": True}),
        (Size(vocabulary=8192, answers=256), {"gradient_checkpointing": True}),
        (Size(), {"gradient_checkpointing": True, "lora_enable": False}),
        (Size(), {"gradient_checkpointing": True, "bf16": True, "lora_dropout": 0.05}),
        (Size(), {"gradient_checkpointing": True, "bf16": True, "lora_enable": False}),
        (Size(), {"gradient_checkpointing": False, "unfreeze_mm_vision_tower": True}),
    ],
    ids=["lora", "wide-dropout", "deep-checkpointed", "many-logits", "full", "mixed-lora", "mixed-full", "tower"],
)
@pytest.mark.slow
def test_estimate_is_close_to_the_measured_memory(size: Size, settings: dict[str, Any]) -> None:
    training = TrainingConfig.model_validate({**SETTINGS, **settings})
    expected, found = measure(size, training), estimate(size, training)
    assert found.weights == expected["weights"]
    # a trained tower's last layer is not read, and gets no gradient
    assert found.gradients == pytest.approx(expected["gradients"], rel=0.1)
    assert found.optimizer == pytest.approx(expected["optimizer"], rel=0.1)
    assert found.activations + found.working == pytest.approx(expected["passing"], rel=TOLERANCE)
    assert found.tensors == pytest.approx(sum(expected.values()), rel=TOLERANCE)


def test_parameter_count_equals_that_of_transformers(tiny_model_dir: Path) -> None:
    from tasks.model.loading import load_base

    model = load_base(tiny_model_dir, torch.float32)
    shape = read_shape(read_json(tiny_model_dir / "config.json"))
    assert shape.parameters == sum(value.numel() for value in model.parameters())
    assert shape.image_tokens == IMAGE_TOKENS
    assert dataclasses.replace(shape, vocabulary=1024) == published_shape("tiny")


@pytest.mark.slow
def test_deepspeed_weights_and_activations_are_bfloat16() -> None:
    training = TrainingConfig.model_validate({**SETTINGS, "bf16": True, "deepspeed": "zero3", "lora_dropout": 0.05})
    expected, found = measure(Size(), training), estimate(Size(), training)
    assert (found.weights, found.gradients) == (expected["weights"], expected["gradients"])
    assert found.activations + found.working == pytest.approx(expected["passing"], rel=TOLERANCE)


def test_published_models_have_their_known_parameter_counts() -> None:
    assert seven_billion().parameters == 7_063_427_072
    assert seven_billion().tower_parameters == 303_507_456
    # r 128 on q, k, v, o, gate, up and down of 32 layers
    assert seven_billion().lora_parameters(128) == 319_815_680
    thirteen = published_shape("liuhaotian/llava-v1.5-13b")
    assert thirteen is not None and thirteen.parameters == 13_350_839_296


def test_sizes_missing_in_a_config_are_the_defaults_of_transformers() -> None:
    sparse = {
        "text_config": {"model_type": "llama", "vocab_size": 32064, "max_position_embeddings": 4096},
        "vision_config": {
            "hidden_size": 1024, "image_size": 336, "intermediate_size": 4096, "num_hidden_layers": 24,
            "patch_size": 14,
        },
    }  # fmt: skip
    assert read_shape(sparse) == seven_billion()


def test_original_layout_gets_the_tower_of_llava_1_5() -> None:
    flat = {"hidden_size": 4096, "vocab_size": 32000, "mm_hidden_size": 1024, "mm_vision_tower": "somewhere"}
    assert read_shape(flat) == published_shape("liuhaotian/llava-v1.5-7b")
    assert read_shape(flat).image_tokens == 576


def seven_billion() -> ModelShape:
    shape = published_shape("llava-hf/llava-1.5-7b-hf")
    assert shape is not None
    return shape


def reference_run(world: int = 4, length: int = 2048, **settings: Any) -> MemoryEstimate:
    training = TrainingConfig.model_validate({"deepspeed": "zero3", **settings})
    return estimate_memory(seven_billion(), training, BatchSize(2, length, length - 576), world)


def test_zero3_partitions_its_states_among_the_processes() -> None:
    one, four = reference_run(world=1), reference_run(world=4)
    for part in ("weights", "gradients", "optimizer"):
        assert getattr(one, part) == pytest.approx(4 * getattr(four, part))
    assert one.activations == four.activations
    assert (one.gathered, four.gathered) == (0, 2e9)


def test_zero2_keeps_all_weights_and_partitions_the_rest() -> None:
    two, three = reference_run(deepspeed="zero2"), reference_run()
    assert two.weights == 4 * three.weights
    assert (two.gradients, two.optimizer, two.gathered) == (three.gradients, three.optimizer, 0)


def test_offload_moves_weights_and_optimizer_to_host_memory() -> None:
    kept, moved = reference_run(), reference_run(deepspeed="zero3_offload")
    assert (moved.weights, moved.gradients, moved.optimizer) == (0, 0, 0)
    assert moved.host == pytest.approx(kept.weights + kept.gradients + kept.optimizer)
    assert zero_plan(TrainingConfig(deepspeed="zero3_offload")).weights_on_cpu


def test_longer_batch_and_no_checkpointing_take_more_memory() -> None:
    assert reference_run(length=1024).total < reference_run().total
    assert reference_run(gradient_checkpointing=False).activations > 25 * reference_run().activations


def test_eager_attention_keeps_all_pairs_of_tokens() -> None:
    training = TrainingConfig(gradient_checkpointing=False)
    batch = BatchSize(2, 2048, 128)
    sdpa, eager = (estimate_memory(seven_billion(), training, batch, 1, kind) for kind in ("sdpa", "eager"))
    pairs = 2 * 2048 * 2048 * 32 * 32
    assert eager.activations - sdpa.activations == pytest.approx(pairs * 6, rel=0.01)


def test_lora_trains_only_adapters_and_projector() -> None:
    shape = seven_billion()
    assert trained_parameters(shape, TrainingConfig()) == 319_815_680 + shape.projector_parameters
    everything = TrainingConfig(lora_enable=False, unfreeze_mm_vision_tower=True)
    assert trained_parameters(shape, everything) == shape.parameters
