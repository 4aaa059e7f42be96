"""Settings of the fine-tuning, by the argument names of LLaVA and transformers."""

from typing import Any, ClassVar, Literal

from pydantic import AliasChoices, Field, field_validator, model_validator

from tasks.settings.base import Section


class TrainingConfig(Section):
    """How the model is tuned; the names are LLaVA's and transformers' own.

    A training whose fields WITHOUT_EFFECT on the weights are changed is the same training and goes on, and so does
    one whose samples a step are divided otherwise among nodes, processes and accumulation.
    """

    WITHOUT_EFFECT: ClassVar[frozenset[str]] = frozenset(
        {"report_to", "wandb_mode", "run_timeout_h", "logging_steps", "dataloader_num_workers", "save_total_limit"}
        | {"node_rank", "rdzv_endpoint", "gradient_checkpointing"}
    )
    DIVISION: ClassVar[frozenset[str]] = frozenset({"nnodes", "nproc_per_node", "gradient_accumulation_steps"})

    lora_enable: bool = Field(True, description="Tune LoRA adapters; off: all weights of the language model.")
    lora_r: int = Field(128, ge=1, le=1024, description="Rank of the adapters; worth searching: 8 to 64.")
    lora_alpha: float = Field(256, gt=0, description="Scale of the adapters; the update is multiplied by alpha / r.")
    lora_dropout: float = Field(0.05, ge=0, lt=1, description="Dropout before the adapters.")
    mm_projector_lr: float | None = Field(
        2e-5, gt=0, le=1, description="Learning rate of the projector; empty: learning_rate."
    )
    unfreeze_mm_vision_tower: bool = Field(False, description="Train the vision tower as well.")
    split_long_conversations: bool = Field(
        True, description="Cut records longer than model_max_length into several samples, between turns."
    )
    num_train_epochs: float = Field(
        10.1,
        gt=0,
        le=1000,
        description="Passes over the training set, fractions allowed; worth searching: 1 to 10.",
    )
    max_steps: int = Field(
        -1, ge=-1, description="Optimiser steps, at least 1, instead of num_train_epochs; -1: as that says."
    )
    per_device_train_batch_size: int = Field(2, ge=1, le=4096, description="Samples a device and micro-batch.")
    per_device_eval_batch_size: int = Field(4, ge=1, le=4096, description="Samples a device when validating.")
    gradient_accumulation_steps: int = Field(
        10, ge=1, le=4096, description="Micro-batches an optimiser step; worth searching: 1 to 10."
    )
    learning_rate: float = Field(
        1e-5, gt=0, le=1, description="Highest learning rate of the adapters; worth searching: 2e-5 to 4e-3."
    )
    weight_decay: float = Field(0.0, ge=0, le=1, description="Weight decay.")
    warmup_ratio: float = Field(
        0.03,
        ge=0,
        le=1,
        description="Share of the steps, rounded up, in which the rate rises from 0; 1: all. A single step has none.",
    )
    lr_scheduler_type: Literal["cosine", "linear", "constant", "constant_with_warmup"] = Field(
        "cosine", description="Course of the learning rate after the warm-up."
    )
    adam_beta2: float = Field(
        0.999, gt=0, lt=1, description="Memory of AdamW's second moment; lower for runs of a few hundred steps."
    )
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are scaled down to this norm.")
    eval_strategy: Literal["no", "steps", "epoch"] = Field(
        "no",
        validation_alias=AliasChoices("eval_strategy", "evaluation_strategy"),
        description="When the loss on the validation set is taken; with steps or epoch also at the end.",
    )
    eval_steps: int = Field(300, ge=1, description="Optimiser steps between validations.")
    eval_answers: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Captions and as many questions of the validation set that are asked at each validation, for CIDEr "
        "and accuracy; 0: none.",
    )
    metric_for_best_model: Literal["loss", "cider", "accuracy"] = Field(
        "loss", description="By which score of a validation the best checkpoint is told, the one in the folder best."
    )
    save_strategy: Literal["steps", "no"] = Field("steps", description="When checkpoints are written; the end always.")
    save_steps: int = Field(300, ge=1, description="Optimiser steps between checkpoints.")
    save_total_limit: int | None = Field(1, ge=1, description="Checkpoints kept on the disk; empty: all.")
    logging_steps: int = Field(1, ge=1, description="Optimiser steps between log lines; the last step is one always.")
    bf16: bool = Field(True, description="Compute in bfloat16.")
    tf32: bool = Field(True, description="Let a GPU multiply float32 in TF32; without a GPU of no effect.")
    model_max_length: int = Field(
        2048, ge=64, le=131_072, description="Longest sample in tokens, image tokens included."
    )
    gradient_checkpointing: bool = Field(True, description="Compute activations again to save memory.")
    group_by_modality_length: bool = Field(
        True, description="Batch samples of similar length; off: in an order that length has no part in."
    )
    length_grouping: Literal["tokens", "reference"] = Field(
        "tokens",
        description="How they are grouped: by tokens, those of the image included, or as LLaVA does, by words.",
    )
    dataloader_num_workers: int = Field(4, ge=0, le=256, description="Processes that prepare batches.")
    deepspeed: Literal["zero2", "zero3", "zero3_offload"] | None = Field(
        None, description="DeepSpeed configuration of infra/deepspeed; empty: none."
    )
    nproc_per_node: int = Field(1, ge=1, le=64, description="Training processes on a machine, one a GPU.")
    nnodes: int = Field(1, ge=1, le=1024, description="Machines that train together; they share the workspace's files.")
    node_rank: int = Field(0, ge=0, description="Which of them this one is, from 0; 0 prepares and keeps everything.")
    rdzv_endpoint: str | None = Field(
        None,
        pattern=r"^[\w.-]+:\d+$",
        description="Where several machines meet, HOST:PORT of machine 0; empty: one alone.",
    )
    use_cpu: bool = Field(False, description="Train on the CPU even where a GPU is present.")
    seed: int = Field(
        42, ge=0, le=2**32 - 1, description="Seed of the adapters' first values and of the order of samples."
    )
    report_to: tuple[Literal["wandb"], ...] = Field((), description="Where curves are sent besides the log.")
    wandb_mode: Literal["auto", "online", "offline", "disabled"] = Field(
        "auto",
        description="auto: online where a key is found, else files for a later `wandb sync`. The environment's "
        "WANDB_MODE goes before it.",
    )
    run_timeout_h: float = Field(240, gt=0, description="Hours after which the training process is ended.")

    @field_validator("report_to", mode="before")
    @classmethod
    def _reports_as_transformers_names_them(cls, value: Any) -> Any:
        # on the command line of transformers it is one word, and none is one too
        words = [value] if isinstance(value, str) else value
        return [word for word in words if word != "none"] if isinstance(words, (list, tuple)) else words

    @model_validator(mode="after")
    def _steps_are_some(self) -> "TrainingConfig":
        if self.max_steps == 0:
            raise ValueError("max_steps is 0: set it to 1 or more, or to -1 to train as num_train_epochs says")
        return self

    @model_validator(mode="after")
    def _validation_is_asked_for(self) -> "TrainingConfig":
        if self.eval_answers and self.eval_strategy == "no":
            raise ValueError(f"eval_answers is {self.eval_answers}: set eval_strategy to steps or epoch")
        if self.metric_for_best_model != "loss" and not self.eval_answers:
            raise ValueError(f"metric_for_best_model is {self.metric_for_best_model}: set eval_answers above 0")
        return self

    @model_validator(mode="after")
    def _nodes_can_meet(self) -> "TrainingConfig":
        if self.nnodes > 1 and self.rdzv_endpoint is None:
            raise ValueError(f"nnodes is {self.nnodes}: set rdzv_endpoint to HOST:PORT of machine 0")
        if self.node_rank >= self.nnodes:
            raise ValueError(f"node_rank is {self.node_rank}, but machines count from 0 to nnodes - 1")
        return self

    @property
    def world_size(self) -> int:
        """Training processes on all machines together."""
        return self.nnodes * self.nproc_per_node

    @property
    def micro_batches_a_step(self) -> int:
        """Micro-batches of all processes that make one optimiser step."""
        return self.world_size * self.gradient_accumulation_steps

    @property
    def content(self) -> dict[str, Any]:
        """What decides the trained weights."""
        kept = self.model_dump(mode="json", exclude={*self.WITHOUT_EFFECT, *self.DIVISION})
        return {**kept, "micro_batches_a_step": self.micro_batches_a_step}
