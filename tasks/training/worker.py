"""The training process.

    python -m tasks.training.worker --config JOB.json
    torchrun --nproc-per-node N -m tasks.training.worker --config JOB.json

The file holds a TrainingJob. Prefect is not imported: it would cost every rank two seconds.
"""

import os
import sys
from pathlib import Path

from accelerate import PartialState
from transformers import TrainingArguments

from tasks.errors import DataError
from tasks.manifests import write_manifest
from tasks.model.checkpoint_origin import CheckpointOrigin, weights_fingerprint
from tasks.model.families import family_of
from tasks.model.loading import choose_dtype
from tasks.model.processor import Processor
from tasks.paths import FINAL, TRAIN_SET, VALIDATION_SET, checkpoint_name
from tasks.processes import serve_worker
from tasks.storage.checkpoints.staging import stage_checkpoint
from tasks.training.arguments import attention_support, choose_attention, init_deepspeed, training_arguments
from tasks.training.callbacks import GracefulStop, LogLines, StepMetrics, StopSignal
from tasks.training.collator import SampleDataset
from tasks.training.job import TrainingJob
from tasks.training.loss_guard import LossGuard
from tasks.training.resuming import newest_checkpoint
from tasks.training.samples import LengthLimit, make_samples, read_set
from tasks.training.saved_checkpoints import best_step, is_last, publish_final, step_of
from tasks.training.settings_record import settings_of_job
from tasks.training.trainable import count_parameters, prepare_trainable
from tasks.training.trainer import ConversationTrainer
from tasks.training.validation import keep_best, require_validation
from tasks.training.validation_answers import answer_scores
from tasks.worker_lines import saved_line, stopped_line


def work(config: dict[str, object]) -> dict[str, int]:
    """Run a training job; returns its last step."""
    job = TrainingJob.model_validate(config)
    stop = StopSignal(job.stop_file)
    family_of(job.base.path).require_loadable(job.base.path)
    # before the model: DeepSpeed partitions its parameters while they are loaded
    arguments = training_arguments(job)
    if job.training.deepspeed is not None:
        init_deepspeed(job.training.use_cpu)
    checkpoint = newest_checkpoint(job)
    if checkpoint is not None and is_last(checkpoint):
        # transformers would train one more step
        log_line(f"{checkpoint.name} is from the last step: nothing is left to train")
        return _finish(job, checkpoint, arguments)
    trainer = build_trainer(job, arguments)
    trainer.add_callback(GracefulStop(stop))
    if checkpoint is not None:
        log_line(f"resuming from {checkpoint.name}")
    elif job.resume:
        log_line("no checkpoint to resume from: training starts at step 0")
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    step = trainer.state.global_step
    if step < trainer.state.max_steps:
        log_line(stopped_line(step))
        return {"step": step}
    trainer.save_last()
    return _finish(job, job.out / checkpoint_name(step), arguments)


def _finish(job: TrainingJob, checkpoint: Path, arguments: TrainingArguments) -> dict[str, int]:
    """Publish the model of the last step's checkpoint, on the first process only; returns the step."""
    step = step_of(checkpoint)
    if arguments.process_index == 0:
        keep_best(job.out, best_step(checkpoint))
        publish_final(checkpoint, job.out / FINAL)
        write_manifest(job.out / FINAL, job.fingerprint, {"run": job.run, "step": step})
    PartialState().wait_for_everyone()
    return {"step": step}


def build_trainer(job: TrainingJob, arguments: TrainingArguments) -> ConversationTrainer:
    """The trainer of a job, with its base model, adapters, sets and callbacks."""
    dtype = choose_dtype("bfloat16" if job.training.bf16 else "float32", arguments.device)
    family = family_of(job.base.path)
    processor = family.training_processor(job.base.path, job.model)
    takes = family.several_images, family.dialogues
    sets = {file: _dataset(job, file, processor, takes) for file in (TRAIN_SET, VALIDATION_SET)}
    attention, reason = choose_attention(attention_support(job.training.use_cpu), half=job.training.bf16)
    log_line(f"attention: {attention}, because {reason}")
    base = family.load_base(job.base.path, dtype, attn_implementation=attention).train()
    model = prepare_trainable(base, job.training, family)
    trained, total = count_parameters(model)
    log_line(f"{trained:,} of {total:,} parameters are trained")
    trainer = ConversationTrainer(
        config=job.training,
        family=family,
        processor=processor,
        origin=_origin(job),
        on_complete=lambda folder: _announce(folder, job.staging),
        model=model,
        args=arguments,
        train_dataset=sets[TRAIN_SET],
        eval_dataset=sets[VALIDATION_SET] if len(sets[VALIDATION_SET]) else None,
        callbacks=[LossGuard(), LogLines()],
    )
    # before the callbacks that send its metrics
    trainer.callback_handler.callbacks.insert(0, StepMetrics(job.training))
    trainer.answer_scores = answer_scores(job, processor)
    from transformers import PrinterCallback, ProgressCallback

    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    return trainer


def _origin(job: TrainingJob) -> CheckpointOrigin:
    """The origin that is saved with every checkpoint of a job."""
    return CheckpointOrigin(
        run=job.run,
        base=job.base.path.name,
        training=job.fingerprint,
        base_weights=weights_fingerprint(job.base.path),
        dataset=job.dataset.sha256,
        settings=settings_of_job(job),
    )


def _dataset(job: TrainingJob, file: str, processor: Processor, takes: tuple[bool, bool]) -> SampleDataset:
    """A set's samples; `takes` says whether the model takes several images, and dialogues."""
    config, name = job.training, Path(file).stem
    records = read_set(job.dataset.path, file)
    limit = LengthLimit(config.model_max_length, config.split_long_conversations)
    samples, dropped = make_samples(records, processor, job.dataset.images, limit, *takes)
    for reason, count in sorted(dropped.items()):
        log_line(f"{name}: dropped {count} samples: {reason}")
    log_line(f"{name}: {len(records)} records, {len(samples)} samples")
    if file == TRAIN_SET and not samples:
        raise DataError("The training set has no usable sample: see the reasons above.")
    if file == VALIDATION_SET:
        require_validation(samples, config)
        # for less padding per batch; the mean loss does not depend on the order
        samples.sort(key=lambda sample: sample.length, reverse=True)
    return SampleDataset(samples, job.dataset.images, processor)


def _announce(checkpoint: Path, staging: Path | None) -> None:
    if staging is not None:
        stage_checkpoint(checkpoint, staging)
    log_line(saved_line(step_of(checkpoint)))


def log_line(text: str) -> None:
    """Print a line without buffering, on the first rank only."""
    if os.environ.get("RANK", "0") == "0":
        print(text, flush=True)


if __name__ == "__main__":
    sys.exit(serve_worker(work))
