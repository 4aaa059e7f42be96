"""Training: our loop compared with a bare one on the same batches, and the padding left by grouping by length."""

import copy
import json
import os
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rows import Row
from transformers import TrainerCallback

from tasks.model.llava.tiny import create_tiny
from tasks.model.loading import load_processor
from tasks.records import DatasetRef, ModelRef
from tasks.settings import ModelConfig, TrainingConfig
from tasks.training.arguments import training_arguments
from tasks.training.job import TrainingJob
from tasks.training.sampler import padding_share, train_sampler
from tasks.training.samples import LengthLimit, Sample, make_samples
from tasks.training.trainable import optimizer_groups
from tasks.training.trainer import ConversationTrainer, answer_logits, mean_loss
from tasks.training.worker import build_trainer

REAL_RECORDS = Path(__file__).resolve().parents[3] / "shared" / "real" / "instructions_raw.json"
CHUNK, TURNS, BATCH = 8, 7, 16
IMAGE_SIDE, RECORDS = 256, CHUNK * TURNS * BATCH
SEVEN_B_IMAGE_TOKENS = 576
WORDS = ("airport", "planes", "trees", "river", "dense", "houses", "near", "with", "a", "the", "large", "some", "road")
# As the reference run: two samples per device, four devices, ten micro-batches per step.
REFERENCE = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 10, "lora_r": 8}
DEVICES = 4
SPEED: dict[str, Any] = {
    **{"max_steps": CHUNK * TURNS, "per_device_train_batch_size": BATCH, "gradient_accumulation_steps": 1},
    **{"lora_r": 64, "lora_dropout": 0.0, "save_strategy": "no", "bf16": False, "tf32": False, "use_cpu": True},
    **{"gradient_checkpointing": False, "dataloader_num_workers": 1, "model_max_length": 1024},
}


def training_beside_a_bare_loop(folder: Path) -> list[Row]:
    """Samples per second of our training, images read as they are needed, over those of a bare loop on ready batches.

    Both compute with one thread, so that our worker process has a core of its own where there are two; they take
    turns of CHUNK steps, so that other work on the machine slows both. The first turn of each is not counted.
    """
    torch.set_num_threads(1)
    order = make_order(folder)
    trainer = build_trainer(order, training_arguments(order))
    turns = Turns(BareLoop(trainer))
    trainer.add_callback(turns)
    trainer.train()
    bare, ours = (np.array(seconds[1:]) / CHUNK * 1000 for seconds in (turns.bare, turns.ours))
    for kind, name in enumerate(("wall", "CPU")):
        print(f"  {name} time of a step: bare {bare[:, kind].round()} ms, ours {ours[:, kind].round()} ms, "
              f"ratio {np.median(bare[:, kind] / ours[:, kind]):.3f}")  # fmt: skip
    ratio = float(np.median(bare[:, 0] / ours[:, 0]))
    return [Row("training, samples per second relative to a bare loop", ratio, ">= 0.95")]


class BareLoop:
    """Forward, backward, clipping and optimizer alone, on a copy of a trainer's model and its batches."""

    def __init__(self, trainer: ConversationTrainer):
        self.batches = list(trainer.get_train_dataloader())
        self.model = copy.deepcopy(trainer.model).train()
        # as training begins, with parameters in the same groups
        self.trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        cls, options = trainer.get_optimizer_cls_and_kwargs(trainer.args)
        self.optimizer = cls(optimizer_groups(self.model, trainer.config, trainer.names), **options)

    def run(self, first: int) -> None:
        """CHUNK steps from batch `first` on."""
        for batch in self.batches[first : first + CHUNK]:
            logits, labels, _ = answer_logits(self.model, batch)
            mean_loss(logits, labels).backward()
            torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()


class Turns(TrainerCallback):
    """After every CHUNK steps of the training, lets the bare loop do the same; takes the time of both."""

    def __init__(self, loop: BareLoop) -> None:
        self.loop, self.start = loop, now()
        self.ours: list[np.ndarray] = []
        self.bare: list[np.ndarray] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % CHUNK == 0:
            middle = now()
            self.loop.run(state.global_step - CHUNK)
            end = now()
            self.ours.append(middle - self.start)
            self.bare.append(end - middle)
            self.start = now()


def now() -> np.ndarray:
    """Wall time and this process's CPU time."""
    return np.array([time.perf_counter(), time.process_time()])


def make_order(folder: Path) -> TrainingJob:
    """A toy model and captions of images with the size of photographs."""
    # accelerate would take all cores otherwise
    os.environ["OMP_NUM_THREADS"] = "1"
    generator, rng = np.random.default_rng(28), random.Random(28)
    (folder / "images").mkdir()
    records = []
    for number in range(RECORDS):
        coarse = generator.integers(0, 256, (IMAGE_SIDE // 8, IMAGE_SIDE // 8, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BICUBIC)
        image.save(folder / "images" / f"{number}.jpg", quality=90)
        turns = [("<image>\nDescribe it." if n == 0 else "And?", sentence(rng)) for n in range(5)]
        records.append(record(number, f"{number}.jpg", turns))
    for name, chosen in (("data_train", records), ("data_val", records[:4])):
        (folder / f"{name}.json").write_text(json.dumps(chosen))
    create_tiny(folder / "model", (turn["value"] for one in records for turn in one["conversations"]), seed=28)
    return TrainingJob(
        run="benchmark",
        base=ModelRef(path=folder / "model", sha256="drawn"),
        dataset=DatasetRef(
            path=folder, sha256="drawn", images=folder / "images", images_sha256="drawn", records={"train": RECORDS}
        ),
        model=ModelConfig(),
        training=TrainingConfig.model_validate(SPEED),
        out=folder / "training",
    )


def sentence(rng: random.Random) -> str:
    """A caption of about as many words as RSICD's."""
    return " ".join(rng.choices(WORDS, k=rng.randint(7, 15)))


def record(number: int, image: str, turns: list[tuple[str, str]]) -> dict[str, Any]:
    """A record in the LLaVA layout."""
    values = [
        {"from": role, "value": text} for turn in turns for role, text in zip(("human", "gpt"), turn, strict=True)
    ]
    return {"id": str(number), "image": image, "conversations": values}


def padding_beside_the_reference(folder: Path) -> list[Row]:
    """Share of padding where batches are grouped by tokens, over that of the reference's grouping by words."""
    samples = encoded(text_records(), folder)
    shares = {}
    for grouping in ("tokens", "reference"):
        config = TrainingConfig.model_validate({**REFERENCE, "length_grouping": grouping})
        sampler = train_sampler(samples, config, config.per_device_train_batch_size, DEVICES)
        lengths = [sample.length for sample in samples]
        shares[grouping] = padding_share(list(sampler), lengths, config.per_device_train_batch_size)
        print(f"  grouped by {grouping}: {shares[grouping]:.2%} of the tokens are padding")
    return [Row("padding, relative to grouping by words", shares["tokens"] / shares["reference"], "<= 0.1")]


def text_records() -> list[dict[str, Any]]:
    """Records of real data if available, else generated: captions, and as many questions as real images have."""
    if REAL_RECORDS.exists():
        print("  lengths of real records")
        return json.loads(REAL_RECORDS.read_text(encoding="utf-8"))
    rng = random.Random(28)
    captions = [record(n, f"RSICD/{n}.jpg", [("Describe it.", sentence(rng))] * rng.randint(3, 5)) for n in range(2000)]
    questions = [
        record(n, f"LR/{n}.tif", [("Is there a road?", rng.choice(("yes", "no", "12")))] * rng.choice((4, 9, 20, 100)))
        for n in range(400)
    ]
    return captions + questions


def encoded(records: list[dict[str, Any]], folder: Path) -> list[Sample]:
    """Samples as a 7B model would take them, by a toy tokenizer."""
    create_tiny(folder / "model", (turn["value"] for one in records for turn in one["conversations"]), seed=28)
    processor = replace(load_processor(folder / "model"), image_tokens=SEVEN_B_IMAGE_TOKENS)
    return make_samples(records, processor, folder, LengthLimit(2048, split=True))[0]
