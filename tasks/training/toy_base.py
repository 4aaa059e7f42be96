"""The toy base models: random weights, fully pre-trained on lessons, whose text is simpler than that of any data set.

python -m tasks.training.toy_base --config FILE      the file holds {"lessons": DatasetRef, "out": folder, "name": name}
"""

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypedDict

from tasks.files import link_or_copy, read_json
from tasks.manifests import atomic_folder, content_digest, verified_manifest, write_manifest
from tasks.model.chat.tiny import create_tiny_qwen
from tasks.model.llava.prompt import SYSTEM
from tasks.model.llava.tiny import create_tiny
from tasks.paths import COMPLETE, FINAL, MODEL_CARD, TRAIN_SET, TRAINER_STATE
from tasks.processes import run_worker, serve_worker
from tasks.prompt_text import without_placeholder
from tasks.records import DatasetRef, ModelRef
from tasks.settings import TOY, TOY_QWEN, ModelConfig, TrainingConfig
from tasks.training.job import TrainingJob
from tasks.training.launch import CPU_ENVIRONMENT

WORKER = "tasks.training.toy_base"
SEED = 7
CREATE: dict[str, Callable[[Path, Iterable[str], int], None]] = {TOY: create_tiny, TOY_QWEN: create_tiny_qwen}
TRAINING = TrainingConfig(
    lora_enable=False,
    mm_projector_lr=None,
    num_train_epochs=2.5,
    per_device_train_batch_size=8,
    gradient_accumulation_steps=1,
    learning_rate=1.5e-3,
    adam_beta2=0.98,
    warmup_ratio=0.05,
    save_strategy="no",
    logging_steps=20,
    bf16=False,
    tf32=False,
    model_max_length=1024,
    gradient_checkpointing=False,
    dataloader_num_workers=0,
    use_cpu=True,
)
# No alignment of vision and words comes before it.
QWEN_TRAINING = TRAINING.model_copy(update={"unfreeze_mm_vision_tower": True})
# Files of a finished training that are not part of the model.
TRAINING_FILES = frozenset({COMPLETE, TRAINER_STATE, MODEL_CARD})


class ToyJob(TypedDict):
    """The job file: a DatasetRef as JSON, a folder, and the toy's name in the settings."""

    lessons: dict[str, object]
    out: str
    name: str


def pretrained_toy(lessons: DatasetRef, out: Path, name: str = TOY) -> ModelRef | None:
    """The toy base model in `out`, if it is intact and was trained on these lessons, by whatever version."""
    manifest = verified_manifest(out)
    if manifest is None or not _job(lessons, out, out, name).matches(manifest.fingerprint):
        return None
    return ModelRef(path=out, sha256=content_digest(manifest))


def pretrain_toy(lessons: DatasetRef, out: Path, name: str = TOY, on_line: Callable[[str], None] = print) -> ModelRef:
    """Create the toy base model of that name in a child process, unless `out` holds it already."""
    if found := pretrained_toy(lessons, out, name):
        return found
    job = ToyJob(lessons=lessons.model_dump(mode="json"), out=str(out), name=name)
    run_worker(WORKER, dict(job), on_line, env=CPU_ENVIRONMENT)
    manifest = write_manifest(out, _job(lessons, out, out, name).fingerprint)
    return ModelRef(path=out, sha256=content_digest(manifest))


def work(config: ToyJob) -> None:
    """Create the model with random weights and train it on the lessons."""
    from tasks.training.toy_alignment import align_vision
    from tasks.training.worker import work as train

    lessons, out, name = DatasetRef.model_validate(config["lessons"]), Path(config["out"]), config["name"]
    scratch = out.with_name(f".{out.name}.training")
    shutil.rmtree(scratch, ignore_errors=True)
    CREATE[name](scratch / "untrained", _texts(lessons), SEED)
    if name == TOY:
        align_vision(scratch / "untrained", lessons, SEED)
    train(_job(lessons, scratch / "untrained", scratch, name).model_dump(mode="json"))
    with atomic_folder(out) as part:
        for path in (scratch / FINAL).iterdir():
            if path.name not in TRAINING_FILES:
                link_or_copy(path, part / path.name)
    shutil.rmtree(scratch)


def _job(lessons: DatasetRef, base: Path, out: Path, name: str) -> TrainingJob:
    # the first toy's text is part of the fingerprints of earlier versions
    drawn = f"drawn with seed {SEED}" if name == TOY else f"{name}, drawn with seed {SEED}"
    return TrainingJob(
        run="toy-base",
        base=ModelRef(path=base, sha256=drawn),
        dataset=lessons,
        model=ModelConfig(),
        training=TRAINING if name == TOY else QWEN_TRAINING,
        out=out,
    )


def _texts(lessons: DatasetRef) -> Iterator[str]:
    """Texts from which the tokenizer learns its merges: the lessons' turns in the prompt template."""
    for record in read_json(lessons.path / TRAIN_SET):
        values = [turn["value"] for turn in record["conversations"]]
        for question, answer in zip(values[::2], values[1::2], strict=True):
            yield f"{SYSTEM}USER: \n{without_placeholder(question)} ASSISTANT: {answer}"


if __name__ == "__main__":
    sys.exit(serve_worker(work))
