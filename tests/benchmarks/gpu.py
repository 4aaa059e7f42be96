"""Training and answering of a LLaVA-1.5-7B with random weights on one GPU, beside plain loops.

    python tests/benchmarks/gpu.py              needs a GPU with 40 GB, no network
    python tests/benchmarks/gpu.py --toy        the same with a toy model on a CPU, to try the program

Training is compared with PEFT and transformers in a plain loop over the same batches, answering with transformers'
generate and, if RSVLM_VLLM_PYTHON names a Python with vLLM, with vLLM. Speeds are tokens per second; the share of the
GPU's peak counts two operations per weight and token forward and two backward, and none for recomputation.
"""

import argparse
import gc
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from inference import ask_engine, ask_plainly, questions_of
from peft import LoraConfig, get_peft_model
from PIL import Image
from transformers import LlavaConfig, LlavaForConditionalGeneration, TrainerCallback

from tasks.inference.engines.decoding import Decoding
from tasks.inference.engines.transformers_engine import TransformersEngine
from tasks.inference.engines.vllm_engine import Options, VllmEngine
from tasks.inference.engines.vllm_process import PYTHON_VARIABLE
from tasks.model.configuration import read_config
from tasks.model.llava.shape import read_shape
from tasks.model.llava.tiny import create_tiny
from tasks.model.loading import load_model
from tasks.preflight.memory_estimate import BatchSize, estimate_memory
from tasks.records import DatasetRef, ModelRef, Question
from tasks.settings import ModelConfig, TrainingConfig
from tasks.training.arguments import training_arguments
from tasks.training.job import TrainingJob
from tasks.training.worker import build_trainer

# dense bfloat16 operations per second, as the manufacturer says
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12}
TEXT = {
    **{"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32},
    **{"num_key_value_heads": 32, "vocab_size": 32064},
}
VISION = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
TARGETS = r".*language_model.*\.(q|k|v|o|gate|up|down)_proj"
THINGS = ("road", "building", "river", "field", "ship", "bridge", "forest", "harbour", "plane", "beach")
IMAGES, TURNS, STEPS, WARM_STEPS, ANSWER_TOKENS, PLAIN_BATCH = 64, 10, 12, 4, 16, 16
SETTINGS: dict[str, Any] = {
    **{"max_steps": STEPS, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "save_strategy": "no"},
    **{"dataloader_num_workers": 2, "lora_dropout": 0.0},
}


class Speed(NamedTuple):
    """Tokens per second, and the peak of what PyTorch has allocated on the GPU in bytes."""

    tokens_per_s: float
    memory: float


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true", help="a toy model on the CPU")
    toy = parser.parse_args().toy
    if not toy and not torch.cuda.is_available():
        parser.error("PyTorch sees no GPU: run it on a machine with one, or with --toy.")
    device = "cpu" if toy else "cuda"
    with tempfile.TemporaryDirectory(prefix="rsvlm-gpu-") as name:
        folder = Path(name)
        records = write_data(folder)
        write_model(folder / "base", records, toy)
        print(f"{'CPU' if toy else torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
        trainer = build_trainer(job := make_job(folder, toy), training_arguments(job))
        batches = list(trainer.get_train_dataloader())
        peak = next((value for name, value in PEAKS.items() if not toy and name in torch.cuda.get_device_name()), None)
        weights = sum(parameter.numel() for parameter in trainer.model.parameters())
        ours = trained(trainer, batches)
        del trainer
        plain = trained_plainly(folder / "base", batches, device)
        print("\n| | tokens/s | share of peak | memory in GB |\n|---|---:|---:|---:|")
        for way, speed in (("training, rsvlm", ours), ("training, plain loop", plain)):
            share = f"{4 * weights * speed.tokens_per_s / peak:.0%}" if peak else ""
            print(f"| {way} | {speed.tokens_per_s:.0f} | {share} | {speed.memory / 1e9:.1f} |")
        print(f"| training, preflight's estimate | | | {estimated(folder / 'base', job.training, batches) / 1e9:.1f} |")
        for way, tokens_per_s in answering(folder, records, toy):
            print(f"| answering, {way} | {tokens_per_s:.0f} | | |")


def write_data(folder: Path) -> list[dict[str, Any]]:
    """Random images, ten questions about each; returns the records."""
    rng, generator = random.Random(28), np.random.default_rng(28)
    (folder / "images").mkdir()
    records = []
    for number in range(IMAGES):
        colours = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(colours).resize((336, 336)).save(folder / "images" / f"{number}.png")
        turns = []
        for index in range(TURNS):
            question = f"Is there a {rng.choice(THINGS)} beside the {rng.choice(THINGS)}?"
            turns.append({"from": "human", "value": f"<image>\n{question}" if index == 0 else question})
            turns.append({"from": "gpt", "value": rng.choice(("yes", "no"))})
        records.append({"id": str(number), "image": f"{number}.png", "conversations": turns})
    for name, chosen in (("data_train", records), ("data_val", records[:4])):
        (folder / f"{name}.json").write_text(json.dumps(chosen), encoding="utf-8")
    return records


def write_model(folder: Path, records: Sequence[dict[str, Any]], toy: bool) -> None:
    """A LLaVA with random weights in transformers' layout, of the 7B's size unless it is a toy."""
    texts = [turn["value"] for record in records for turn in record["conversations"]]
    side, patch = (64, 8) if toy else (336, 14)
    create_tiny(folder, texts, seed=28, image_size=side, patch_size=patch)
    if toy:
        return
    config = LlavaConfig.from_pretrained(folder)
    config.text_config.update(TEXT)
    config.vision_config.update(VISION)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = LlavaForConditionalGeneration(config)
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    del model
    free_memory()


def make_job(folder: Path, toy: bool) -> TrainingJob:
    """The training of our loop."""
    settings = SETTINGS | ({"use_cpu": True, "bf16": False, "tf32": False} if toy else {})
    data = DatasetRef(
        path=folder, sha256="drawn", images=folder / "images", images_sha256="drawn", records={"train": IMAGES}
    )
    return TrainingJob(
        run="benchmark",
        base=ModelRef(path=folder / "base", sha256="drawn"),
        dataset=data,
        model=ModelConfig(),
        training=TrainingConfig.model_validate(settings),
        out=folder / "training",
    )


class StepTimes(TrainerCallback):
    """When each step ended."""

    def __init__(self) -> None:
        self.ended_s: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ended_s.append(now())


def now() -> float:
    """The time at which all that was given to the GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def trained(trainer: Any, batches: Sequence[dict[str, torch.Tensor]]) -> Speed:
    """Train with our loop; the first steps are not counted."""
    times = StepTimes()
    trainer.add_callback(times)
    reset_peak()
    trainer.train()
    return Speed(tokens_of(batches) / (times.ended_s[-1] - times.ended_s[WARM_STEPS - 1]), peak_memory())


def trained_plainly(base: Path, batches: Sequence[dict[str, torch.Tensor]], device: str) -> Speed:
    """Train with PEFT and transformers as their documentation shows, with the library's own loss."""
    free_memory()
    reset_peak()
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    base_model = LlavaForConditionalGeneration.from_pretrained(base, dtype=dtype).to(device)
    base_model.gradient_checkpointing_enable({"use_reentrant": False})
    base_model.enable_input_require_grads()
    model = get_peft_model(base_model, LoraConfig(r=128, lora_alpha=256, target_modules=TARGETS)).train()
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=1e-5)
    ended = []
    for batch in batches[:STEPS]:
        inputs = {name: value.to(device) for name, value in batch.items()}
        with torch.autocast(device, torch.bfloat16, enabled=device != "cpu"):
            model(**inputs).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        ended.append(now())
    speed = Speed(tokens_of(batches) / (ended[-1] - ended[WARM_STEPS - 1]), peak_memory())
    del model, base_model, optimizer
    free_memory()
    return speed


def tokens_of(batches: Sequence[dict[str, torch.Tensor]]) -> int:
    """The tokens of the counted steps, without padding."""
    return sum(int(batch["attention_mask"].sum()) for batch in batches[WARM_STEPS:STEPS])


def estimated(base: Path, training: TrainingConfig, batches: Sequence[dict[str, torch.Tensor]]) -> float:
    """Preflight's estimate of the tensors of such a training, in bytes."""
    shape = read_shape(read_config(base))
    length = max(batch["input_ids"].shape[1] for batch in batches)
    size = BatchSize(training.per_device_train_batch_size, length, max(length - shape.image_tokens, 1))
    return estimate_memory(shape, training, size, 1).tensors


def answering(folder: Path, records: Sequence[dict[str, Any]], toy: bool) -> Iterator[tuple[str, float]]:
    """Answer tokens per second of each way; random weights do not end an answer early."""
    questions = questions_of(records)
    few = questions[:: len(questions) // (2 * PLAIN_BATCH)]
    loaded = load_model(folder / "base", dtype="float32" if toy else "bfloat16")
    engine = TransformersEngine(loaded, folder / "images", Decoding(ANSWER_TOKENS))
    yield "rsvlm", answer_speed(questions, lambda asked: ask_engine(engine, asked))
    plainly = lambda asked: ask_plainly(loaded, folder / "images", asked, ANSWER_TOKENS, PLAIN_BATCH)  # noqa: E731
    yield f"generate with batches of {PLAIN_BATCH}", answer_speed(few, plainly)
    if python := os.environ.get(PYTHON_VARIABLE):
        del engine, loaded
        free_memory()
        options = Options(Path(python), "float32" if toy else "bfloat16")
        vllm = VllmEngine(folder / "base", folder / "images", Decoding(ANSWER_TOKENS), options)
        yield "vLLM", answer_speed(questions, lambda asked: ask_engine(vllm, asked))  # type: ignore[arg-type]


def answer_speed(questions: Sequence[Question], ask: Callable[[Sequence[Question]], object]) -> float:
    """Answer tokens per second, after a first try of a few questions."""
    ask(questions[:PLAIN_BATCH])
    start = now()
    ask(questions)
    return len(questions) * ANSWER_TOKENS / (now() - start)


def reset_peak() -> None:
    """Measure the peak of the memory from here."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory() -> float:
    """The peak in bytes; 0 on a CPU."""
    return float(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else 0.0


def free_memory() -> None:
    """Release what nothing refers to."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
