"""transformers' TrainingArguments of a job, its DeepSpeed configuration, and its attention implementation."""

from dataclasses import dataclass
from importlib.util import find_spec
from math import ceil, nextafter
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import ConfigError
from tasks.paths import LOGS
from tasks.settings import TrainingConfig
from tasks.training.job import TrainingJob
from tasks.training.wandb_login import prepare_wandb

if TYPE_CHECKING:
    from transformers import TrainingArguments

# save_total_limit is not among them: transformers would delete incomplete checkpoints and, at the end, all but the best
SAME_NAME = (
    "num_train_epochs", "max_steps", "per_device_train_batch_size", "per_device_eval_batch_size",
    "gradient_accumulation_steps", "learning_rate", "weight_decay", "lr_scheduler_type", "max_grad_norm", "adam_beta2",
    "eval_strategy", "eval_steps", "save_strategy", "save_steps", "logging_steps", "bf16",
    "dataloader_num_workers", "use_cpu", "seed",
)  # fmt: skip
# The largest value that transformers takes for a ratio; of any number of steps, rounded up, it is all of them.
ALL_STEPS = nextafter(1, 0)
DEEPSPEED_CONFIGS = Path(__file__).with_name("zero_configs")
FLASH, SDPA = "flash_attention_2", "sdpa"
# FlashAttention 2 needs Ampere or newer.
FLASH_CAPABILITY = (8, 0)


def training_arguments(job: TrainingJob) -> "TrainingArguments":
    """TrainingArguments of a job; with DeepSpeed they must be created before the model is loaded."""
    import torch
    from transformers import TrainingArguments

    config = job.training
    gpu = torch.cuda.is_available() and not config.use_cpu
    return TrainingArguments(
        output_dir=str(job.out),
        **{name: getattr(config, name) for name in SAME_NAME},
        # transformers takes a value below 1 as a ratio of the steps, and any other as their number
        warmup_steps=min(config.warmup_ratio, ALL_STEPS),
        tf32=config.tf32 if gpu else None,
        deepspeed=deepspeed_config(config.deepspeed) if config.deepspeed else None,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to=_report_to(job),
        run_name=job.run,
        dataloader_pin_memory=gpu,
        dataloader_persistent_workers=config.dataloader_num_workers > 0,
        dataloader_prefetch_factor=_prefetch_factor(config),
        # it would synchronise with the device at every micro-batch, and hide a loss of NaN
        logging_nan_inf_filter=False,
        metric_for_best_model=None if config.eval_strategy == "no" else config.metric_for_best_model,
        activation_checkpointing=config.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
    )


def _prefetch_factor(config: TrainingConfig) -> int | None:
    """Batches per worker: together those of one step, which transformers fetches at once, and one more each."""
    workers = config.dataloader_num_workers
    return ceil(config.gradient_accumulation_steps / workers) + 1 if workers else None


def _report_to(job: TrainingJob) -> list[str]:
    """Where curves are sent besides the log; offline files go next to the log."""
    config = job.training
    reports = "wandb" in config.report_to and prepare_wandb(config.wandb_mode, job.out.with_name(LOGS))
    return ["wandb"] if reports else ["none"]


def deepspeed_config(name: str) -> str:
    """Path of a DeepSpeed configuration file; raises ConfigError for an unknown name."""
    path = DEEPSPEED_CONFIGS / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in DEEPSPEED_CONFIGS.glob("*.json")))
        raise ConfigError(f"There is no DeepSpeed configuration {name!r}: choose one of {known}.")
    return str(path)


def init_deepspeed(use_cpu: bool) -> None:
    """Initialise DeepSpeed's process group before the model is loaded; ZeRO-3 partitions weights while loading."""
    import deepspeed.comm

    # transformers does this by itself, but not on CPUs
    if not deepspeed.comm.is_initialized():
        deepspeed.comm.init_distributed("gloo" if use_cpu else "nccl")


@dataclass(frozen=True)
class AttentionSupport:
    """Whether flash-attn is installed, and the GPU's compute capability (None: no GPU is used)."""

    flash_attn: bool
    capability: tuple[int, int] | None


def attention_support(use_cpu: bool) -> AttentionSupport:
    """What this machine supports."""
    import torch

    gpu = torch.cuda.is_available() and not use_cpu
    return AttentionSupport(find_spec("flash_attn") is not None, torch.cuda.get_device_capability() if gpu else None)


def choose_attention(support: AttentionSupport, half: bool) -> tuple[str, str]:
    """transformers' name of the attention implementation, and the reason for it: FlashAttention 2, else PyTorch's SDPA.

    `half`: weights are bfloat16 or float16.
    """
    if support.capability is None:
        return SDPA, "no GPU is used"
    if support.capability < FLASH_CAPABILITY:
        major, minor = support.capability
        least = ".".join(map(str, FLASH_CAPABILITY))
        return SDPA, f"the GPU's compute capability {major}.{minor} is below {least}"
    if not half:
        return SDPA, "FlashAttention needs bf16"
    if not support.flash_attn:
        return SDPA, "flash-attn is not installed (the extra `gpu`)"
    return FLASH, "flash-attn is installed and the GPU supports it"
