"""transformers' TrainingArguments from an order."""

from math import ceil, nextafter
from typing import Any

from tasks.settings import TrainingConfig
from tasks.training.job import TrainingOrder
from tasks.training.wandb_login import prepare_wandb
from tasks.training.zero_config import zero_config

SAME_NAME = (
    "num_train_epochs", "max_steps", "per_device_train_batch_size", "per_device_eval_batch_size",
    "gradient_accumulation_steps", "learning_rate", "weight_decay", "lr_scheduler_type", "max_grad_norm", "adam_beta2",
    "eval_strategy", "eval_steps", "save_strategy", "save_steps", "logging_steps", "bf16",
    "dataloader_num_workers", "use_cpu", "seed",
)  # fmt: skip
# save_total_limit is not among them: transformers would rotate away what is not complete, and at the end all but the
# best.
# The greatest share that is not taken for a number of steps; of any number of steps it is all, as it is rounded up.
ALL_STEPS = nextafter(1, 0)


def training_arguments(order: TrainingOrder) -> Any:
    """TrainingArguments of an order; with DeepSpeed they must exist before the model is loaded."""
    import torch
    from transformers import TrainingArguments

    config = order.training
    gpu = torch.cuda.is_available() and not config.use_cpu
    return TrainingArguments(
        output_dir=str(order.out),
        **{name: getattr(config, name) for name in SAME_NAME},
        # transformers takes what is below 1 for a share of the steps and all else for their number
        warmup_steps=min(config.warmup_ratio, ALL_STEPS),
        tf32=config.tf32 if gpu else None,
        deepspeed=zero_config(config.deepspeed) if config.deepspeed else None,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to=_reporters(order),
        run_name=order.run,
        dataloader_pin_memory=gpu,
        dataloader_persistent_workers=config.dataloader_num_workers > 0,
        dataloader_prefetch_factor=_prefetched(config),
        # it would wait for the device at every micro-batch, and hide a loss that is not a number
        logging_nan_inf_filter=False,
        metric_for_best_model=None if config.eval_strategy == "no" else config.metric_for_best_model,
        activation_checkpointing=config.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
    )


def _prefetched(config: TrainingConfig) -> int | None:
    """Batches that each worker holds ready: all of a step together, which transformers takes at once, and one more."""
    workers = config.dataloader_num_workers
    return ceil(config.gradient_accumulation_steps / workers) + 1 if workers else None


def _reporters(order: TrainingOrder) -> list[str]:
    """Where curves go besides the log; what is kept in files lies beside the log."""
    config = order.training
    reports = "wandb" in config.report_to and prepare_wandb(config.wandb_mode, order.out.with_name("logs"))
    return ["wandb"] if reports else ["none"]
