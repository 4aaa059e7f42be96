"""Merging beside `cp` of the base and beside PEFT, on random weights of LLaVA-1.5-7B's width."""

import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rows import Row
from safetensors.torch import save_file

LAYERS = (4, 8)
RANK, ALPHA = 128, 256
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
TEXT = {
    **{"model_type": "llama", "vocab_size": 32064, "hidden_size": 4096, "intermediate_size": 11008},
    **{"num_attention_heads": 32, "max_position_embeddings": 4096, "rms_norm_eps": 1e-05},
}
VISION = {
    **{"model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24},
    **{"num_attention_heads": 16, "image_size": 336, "patch_size": 14, "projection_dim": 768},
}
MERGE = """
import os, resource, sys, time
from pathlib import Path
import torch
from tasks.merging.merge import merge_adapter
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
folder, out = map(Path, sys.argv[1:])
start = time.perf_counter()
merge_adapter(folder / "base", folder / "adapter", out)
seconds = time.perf_counter() - start
print(seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""
PEFT = """
import sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import torch
from peft import PeftModel
from transformers import LlavaForConditionalGeneration
folder, out = map(Path, sys.argv[1:])
start = time.perf_counter()
model = LlavaForConditionalGeneration.from_pretrained(folder / "base", dtype=torch.bfloat16)
PeftModel.from_pretrained(model, folder / "adapter").merge_and_unload().save_pretrained(out)
print(time.perf_counter() - start, 0)
"""


def merging_beside_copy_and_peft(folder: Path) -> list[Row]:
    """Time against `cp` and PEFT, and peak memory beyond Python and torch, at two depths."""
    memory = {}
    for layers in LAYERS:
        place = folder / str(layers)
        make_models(place, layers)
        _, memory[layers] = child(MERGE, place)
        if layers != LAYERS[-1]:
            shutil.rmtree(place)
    # once more each, when the file system has pages for all of them: the first to write pays for finding memory
    copied = timed(lambda: subprocess.run(["cp", "-r", str(place / "base"), str(place / "copy")], check=True), place)
    merged = min(child(MERGE, place)[0] for _ in range(2))
    by_peft, _ = child(PEFT, place)
    return [
        Row("merge: time, against cp of the base", merged / copied, "<= 1.5"),
        Row("merge: how much faster than PEFT", by_peft / merged, ">= 2"),
        Row("merge: peak memory beyond Python and torch, in GB", memory[LAYERS[-1]] / 1e9, "<= 1"),
        Row(
            f"merge: peak memory at {LAYERS[1]} against {LAYERS[0]} layers",
            memory[LAYERS[1]] / memory[LAYERS[0]],
            "<= 1.1",
        ),
    ]


def timed(work: Callable[[], object], place: Path) -> float:
    """Seconds that some work takes, the lesser of two tries; what it wrote is removed."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
        shutil.rmtree(place / "copy")
    return min(seconds)


def child(code: str, place: Path) -> tuple[float, float]:
    """Seconds and bytes that a process of its own prints; what it wrote is removed."""
    done = subprocess.run(
        [sys.executable, "-c", code, str(place), str(place / "out")], check=True, capture_output=True, text=True
    )
    shutil.rmtree(place / "out")
    seconds, size_bytes = done.stdout.split()[-2:]
    return float(seconds), float(size_bytes)


def make_models(place: Path, layers: int) -> None:
    """A base model in two shards and an adapter of it, with random weights."""
    noise = torch.randn(1 << 25, generator=torch.Generator().manual_seed(28)).mul_(0.02)
    shapes = base_shapes(layers)
    base, adapter = place / "base", place / "adapter"
    base.mkdir(parents=True)
    adapter.mkdir()
    half = list(shapes)[: len(shapes) // 2]
    shards = {name: f"model-0000{1 if name in half else 2}-of-00002.safetensors" for name in shapes}
    for shard in sorted(set(shards.values())):
        tensors = {name: filled(noise, shape).bfloat16() for name, shape in shapes.items() if shards[name] == shard}
        save_file(tensors, base / shard, {"format": "pt"})
    write(base / "model.safetensors.index.json", {"metadata": {}, "weight_map": shards})
    text = {**TEXT, "num_hidden_layers": layers}
    config = {"model_type": "llava", "text_config": text, "vision_config": VISION, "image_token_index": 32000}
    write(base / "config.json", {**config, "architectures": ["LlavaForConditionalGeneration"], "dtype": "bfloat16"})
    for name in ("tokenizer_config.json", "preprocessor_config.json"):
        write(base / name, {})
    make_adapter(adapter, shapes, noise)


def make_adapter(adapter: Path, shapes: dict[str, tuple[int, ...]], noise: torch.Tensor) -> None:
    """LoRA matrices of all linear layers of the language model, and a projector."""
    lora: dict[str, torch.Tensor] = {}
    for name, shape in shapes.items():
        module = name.removesuffix(".weight").replace("language_model.model.", "model.language_model.")
        if "language_model" in module and module.endswith(TARGETS):
            lora[f"base_model.model.{module}.lora_A.weight"] = filled(noise, (RANK, shape[1]))
            lora[f"base_model.model.{module}.lora_B.weight"] = filled(noise, (shape[0], RANK))
    save_file(lora, adapter / "adapter_model.safetensors")
    projector = {name: filled(noise, shape) * 2 for name, shape in shapes.items() if "projector" in name}
    torch.save(
        {f"base_model.model.model.{name}": value for name, value in projector.items()},
        adapter / "non_lora_trainables.bin",
    )
    targets = rf".*language_model.*\.({'|'.join(TARGETS)})"
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": targets, "task_type": "CAUSAL_LM"}
    write(adapter / "adapter_config.json", config)


def base_shapes(layers: int) -> dict[str, tuple[int, ...]]:
    """The tensors of such a model by name."""
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    text = {**TEXT, "num_hidden_layers": layers}
    with torch.device("meta"):
        model = LlavaForConditionalGeneration(LlavaConfig(text_config=text, vision_config=VISION))
    names = (
        ("model.language_model.", "language_model.model."),
        ("lm_head.", "language_model.lm_head."),
        ("model.multi_modal_projector.", "multi_modal_projector."),
        ("model.vision_tower.", "vision_tower.vision_model."),
    )
    shapes = {}
    for name, value in model.state_dict().items():
        old, new = next(pair for pair in names if name.startswith(pair[0]))
        shapes[name.replace(old, new, 1)] = tuple(value.shape)
    return shapes


def filled(noise: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """A tensor of that shape with the noise again and again."""
    items = math.prod(shape)
    if items <= len(noise):
        return noise[:items].reshape(shape).clone()
    return noise.repeat(-(-items // len(noise)))[:items].reshape(shape)


def write(file: Path, value: object) -> None:
    """Write JSON."""
    file.write_text(json.dumps(value))
