"""The training process.

    python -m tasks.training.worker --config ORDER.json
    torchrun --nproc-per-node N -m tasks.training.worker --config ORDER.json

The file holds a TrainingOrder. It imports no Prefect: every rank would pay for it.
"""

import os
import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState

from tasks.errors import DataError
from tasks.manifests import write_manifest
from tasks.model.checkpoint_origin import CheckpointOrigin, weights_fingerprint
from tasks.model.llava.base_loading import require_loadable
from tasks.model.llava.configured_base import require_select_layer
from tasks.model.loading import Processor, choose_dtype, load_base, load_processor
from tasks.paths import FINAL
from tasks.processes import serve_worker
from tasks.storage.checkpoints.staging import stage_checkpoint
from tasks.training.arguments import training_arguments
from tasks.training.attention import choose_attention, this_machine
from tasks.training.callbacks import Readings
from tasks.training.checkpoints import best_step, is_last, publish_final, step_of
from tasks.training.collator import SampleDataset
from tasks.training.job import TrainingOrder
from tasks.training.loss_guard import LossGuard
from tasks.training.progress import ProgressLines
from tasks.training.resuming import newest_checkpoint
from tasks.training.samples import make_samples
from tasks.training.settings_record import settings_of_order
from tasks.training.stopping import StopInOrder, StopSign
from tasks.training.trainable import count_parameters, prepare_trainable
from tasks.training.trainer import LlavaTrainer
from tasks.training.training_records import read_set
from tasks.training.validation import keep_best, require_validation
from tasks.training.validation_answers import answer_scores
from tasks.training.worker_output import saved_line, stopped_line
from tasks.training.zero_config import join_deepspeed


def work(config: dict[str, Any]) -> dict[str, Any]:
    """Train as the order says; returns the last step."""
    order = TrainingOrder.model_validate(config)
    stop = StopSign(order.stop_file)
    require_loadable(order.base.path)
    # before the model: DeepSpeed takes its parameters apart while they are loaded
    arguments = training_arguments(order)
    if order.training.deepspeed is not None:
        join_deepspeed(order.training.use_cpu)
    checkpoint = newest_checkpoint(order)
    if checkpoint is not None and is_last(checkpoint):
        # transformers would train one step more
        say(f"{checkpoint.name} is that of the last step: nothing is left to train")
        return _finish(order, checkpoint, arguments)
    trainer = build_trainer(order, arguments)
    trainer.add_callback(StopInOrder(stop))
    if checkpoint is not None:
        say(f"resuming from {checkpoint.name}")
    elif order.resume:
        say("no checkpoint to go on from: training begins at its first step")
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    step = trainer.state.global_step
    if step < trainer.state.max_steps:
        say(stopped_line(step))
        return {"step": step}
    trainer.save_last()
    return _finish(order, order.out / f"checkpoint-{step}", arguments)


def _finish(order: TrainingOrder, checkpoint: Path, arguments: Any) -> dict[str, Any]:
    """Publish the model of the last step's checkpoint, on the first process; returns the step."""
    step = step_of(checkpoint)
    if arguments.process_index == 0:
        keep_best(order.out, best_step(checkpoint))
        publish_final(checkpoint, order.out / FINAL)
        write_manifest(order.out / FINAL, order.fingerprint, {"run": order.run, "step": step})
    PartialState().wait_for_everyone()
    return {"step": step}


def build_trainer(order: TrainingOrder, arguments: Any) -> LlavaTrainer:
    """The trainer of an order: base model, adapters, sets and how checkpoints are kept."""
    dtype = choose_dtype("bfloat16" if order.training.bf16 else "float32", arguments.device)
    processor = _processor(order)
    sets = {name: _dataset(order, name, processor) for name in ("data_train", "data_val")}
    attention, reason = choose_attention(this_machine(order.training.use_cpu), half=order.training.bf16)
    say(f"attention: {attention}, because {reason}")
    model = prepare_trainable(load_base(order.base.path, dtype, attn_implementation=attention).train(), order.training)
    trained, total = count_parameters(model)
    say(f"{trained:,} of {total:,} parameters are trained")
    trainer = LlavaTrainer(
        config=order.training,
        processor=processor,
        origin=origin_of(order),
        on_complete=lambda folder: _announce(folder, order.staging),
        model=model,
        args=arguments,
        train_dataset=sets["data_train"],
        eval_dataset=sets["data_val"] if len(sets["data_val"]) else None,
        callbacks=[LossGuard(), ProgressLines()],
    )
    # before the callbacks that send its readings
    trainer.callback_handler.callbacks.insert(0, Readings(order.training))
    trainer.answer_scores = answer_scores(order, processor)
    from transformers import PrinterCallback, ProgressCallback

    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    return trainer


def origin_of(order: TrainingOrder) -> CheckpointOrigin:
    """What every checkpoint of an order tells of where it comes from."""
    return CheckpointOrigin(
        run=order.run,
        base=order.base.path.name,
        training=order.fingerprint,
        base_weights=weights_fingerprint(order.base.path),
        dataset=order.dataset.sha256,
        settings=settings_of_order(order),
    )


def _processor(order: TrainingOrder) -> Processor:
    """The base's processor, with images padded or cropped as the order says; it is saved with every checkpoint."""
    require_select_layer(order.base.path, order.model)
    processor = load_processor(order.base.path)
    processor.image_processor.do_pad = order.model.image_aspect_ratio == "pad"
    return processor


def _dataset(order: TrainingOrder, name: str, processor: Processor) -> SampleDataset:
    config = order.training
    records = read_set(order.dataset.path, name)
    samples, dropped = make_samples(records, processor, config.model_max_length, config.split_long_conversations)
    for reason, count in sorted(dropped.items()):
        say(f"{name}: dropped {count} samples: {reason}")
    say(f"{name}: {len(records)} records, {len(samples)} samples")
    if name == "data_train" and not samples:
        raise DataError("No sample of the training set can be learned from: see the reasons above.")
    if name == "data_val":
        require_validation(samples, config)
        # so that a batch is padded little; the mean does not depend on the order
        samples.sort(key=lambda sample: sample.length, reverse=True)
    return SampleDataset(samples, order.dataset.images, processor)


def _announce(checkpoint: Path, staging: Path | None) -> None:
    if staging is not None:
        stage_checkpoint(checkpoint, staging)
    say(saved_line(step_of(checkpoint)))


def say(text: str) -> None:
    """Print a line at once, on the first rank only."""
    if os.environ.get("RANK", "0") == "0":
        print(text, flush=True)


if __name__ == "__main__":
    sys.exit(serve_worker(work))
