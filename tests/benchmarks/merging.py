"""Merging compared with `cp` of the base and with PEFT, on random weights of LLaVA-1.5-7B's width."""

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rows import Row
from safetensors.torch import load_file, save_file

from tasks.model.adapter_weights import product

LAYERS = (2, 4)
ROUNDS = 3
# of the SHA-256 of files, in the benchmark's own folder
CACHE = "cache"
# in bf16
LAYER_BYTES = 2 * (4 * 4096**2 + 3 * 4096 * 11008 + 2 * 4096)
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
import sys, time
from pathlib import Path
import torch
from tasks.merging.merge import merge_adapter
def peak():
    # not ru_maxrss, which begins with that of the process that started this one
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
before = peak()
folder, out = map(Path, sys.argv[1:])
start = time.perf_counter()
merge_adapter(folder / "base", folder / "adapter", out)
seconds = time.perf_counter() - start
print(time.process_time(), seconds, peak() - before)
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
    """Time against `cp` and PEFT, and peak memory beyond Python and torch, at two depths.

    All times end when the new model is on the disk: a merge waits for it before it writes its manifest.
    """
    memory = {}
    for layers in LAYERS:
        place = folder / str(layers)
        make_models(place, layers)
        _, memory[layers] = child(MERGE, place)
        if layers != LAYERS[-1]:
            shutil.rmtree(place)
    # in turn, and the least of each: what else the machine does then hits all alike
    works = (copied, merged, merged_again)
    rounds = [[work(place, cold) for cold in (True, False) for work in works] for _ in range(ROUNDS)]
    cold_copy, cold_merge, cold_again, copy, merge, again = (min(times) for times in zip(*rounds, strict=True))
    by_peft = until_on_disk(place, PEFT)
    growth = (memory[LAYERS[1]] - memory[LAYERS[0]]) / (LAYERS[1] - LAYERS[0])
    print(f"seconds from disk to disk: cp {cold_copy:.2f}, merge {cold_merge:.2f}, again {cold_again:.2f}; ", end="")
    print(f"from memory to disk: cp {copy:.2f}, merge {merge:.2f}, again {again:.2f}, PEFT {by_peft:.2f}")
    print(
        f"{os.cpu_count()} cores; processor seconds of the products and hashes, which no merge is spared: "
        f"{least_seconds(place):.2f}"
    )
    return [
        Row("merge: time from disk to disk, against cp of the base likewise", cold_merge / cold_copy, "<= 1.5"),
        Row("merge: time from disk to disk, the base hashed before", cold_again / cold_copy, "<= 1.5"),
        Row("merge: time with the base in memory already, against cp likewise", merge / copy),
        Row("merge: time with the base in memory and hashed before", again / copy),
        Row("merge: how much faster than PEFT", by_peft / merge, ">= 2"),
        Row("merge: peak memory beyond Python and torch, in GB", memory[LAYERS[-1]] / 1e9, "<= 1"),
        Row("merge: growth of the peak with each layer, against a layer's size", growth / LAYER_BYTES, "<= 0.1"),
    ]


def copied(place: Path, cold: bool) -> float:
    """Seconds until a copy of the base by `cp` is on the disk."""
    prepare(place, cold)
    start = time.perf_counter()
    subprocess.run(["cp", "-r", str(place / "base"), str(place / "copy")], check=True)
    sync_files(place / "copy")
    seconds = time.perf_counter() - start
    shutil.rmtree(place / "copy")
    return seconds


def merged(place: Path, cold: bool) -> float:
    """Seconds until a merged model is on the disk, without starting Python, of a base that was never hashed."""
    shutil.rmtree(place / CACHE, ignore_errors=True)
    return merged_again(place, cold)


def merged_again(place: Path, cold: bool) -> float:
    """The same of a base whose SHA-256 is known from the last merge."""
    prepare(place, cold)
    return until_on_disk(place, MERGE)


def until_on_disk(place: Path, code: str) -> float:
    """Seconds that a process of its own says it took, and those until what it wrote is on the disk."""
    seconds, _ = child(code, place, keep=True)
    start = time.perf_counter()
    sync_files(place / "out")
    seconds += time.perf_counter() - start
    shutil.rmtree(place / "out")
    return seconds


def prepare(place: Path, cold: bool) -> None:
    """Read base and adapter into memory, or have the system forget them."""
    sync_files(place)
    for file in (*(place / "base").iterdir(), *(place / "adapter").iterdir()):
        with file.open("rb", buffering=0) as opened:
            if cold:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while not cold and opened.read(1 << 23):
                pass


def sync_files(folder: Path) -> None:
    """Wait until all files below a folder are on the disk."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())


def least_seconds(place: Path) -> float:
    """Processor seconds of a merge's products, and of SHA-256 over what it reads and writes, on one core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    weight, b, a = torch.ones(512, 4096), torch.ones(512, RANK), torch.ones(RANK, 4096)
    lora = load_file(place / "adapter" / "adapter_model.safetensors")
    sides = [value.shape for name, value in sorted(lora.items())]
    items = sum(first[1] * second[0] for first, second in zip(sides[::2], sides[1::2], strict=True))
    base_bytes = sum(file.stat().st_size for file in (place / "base").iterdir())
    content = bytes(1 << 23)
    spent = [processor_seconds(lambda: weight.add_(product(b, a))), processor_seconds(lambda: hashlib.sha256(content))]
    torch.set_num_threads(before)
    return spent[0] * items / weight.numel() + spent[1] * 2 * base_bytes / len(content)


def processor_seconds(work: Callable[[], object]) -> float:
    """The least of some tries."""
    spent = []
    for _ in range(20):
        start = time.thread_time()
        work()
        spent.append(time.thread_time() - start)
    return min(spent)


def child(code: str, place: Path, keep: bool = False) -> tuple[float, float]:
    """Seconds and bytes that a process of its own prints; what it wrote is removed unless asked to be kept."""
    command = [sys.executable, "-c", code, str(place), str(place / "out")]
    env = {**os.environ, "XDG_CACHE_HOME": str(place / CACHE)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    if not keep:
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
    for name in ("tokenizer_config.json", "preprocessor_config.json", "processor_config.json"):
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
