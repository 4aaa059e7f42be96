"""Settings of fine-tuning, with the argument names of LLaVA and transformers."""

from typing import ClassVar, Literal

from pydantic import AliasChoices, Field, field_validator, model_validator

from tasks.settings.base import Section

# optional fields whose default is a number; 0 is as null
ZERO_IS_NONE = ("mm_projector_lr", "save_total_limit")


class TrainingConfig(Section):
    """How the model is fine-tuned, with the argument names of LLaVA and transformers.

    A training can be resumed if only fields in WITHOUT_EFFECT have changed, or if the micro-batches of a step are
    divided differently among machines, processes and accumulation steps (DIVISION).
    """

    WITHOUT_EFFECT: ClassVar[frozenset[str]] = frozenset(
        {"report_to", "wandb_mode", "run_timeout_h", "logging_steps", "dataloader_num_workers", "save_total_limit"}
        | {"node_rank", "rdzv_endpoint", "gradient_checkpointing"}
    )
    DIVISION: ClassVar[frozenset[str]] = frozenset({"nnodes", "nproc_per_node", "gradient_accumulation_steps"})

    lora_enable: bool = Field(True, description="Train LoRA adapters; off: train all weights of the language model.")
    lora_r: int = Field(128, ge=1, le=1024, description="Rank of the LoRA adapters. Typical search range: 8 to 64.")
    lora_alpha: float = Field(
        256, gt=0, description="LoRA alpha: the adapter's update is multiplied by lora_alpha / lora_r."
    )
    lora_dropout: float = Field(0.05, ge=0, lt=1, description="Dropout probability on the input of the LoRA adapters.")
    mm_projector_lr: float | None = Field(
        2e-5, ge=0, le=1, description="Peak learning rate of the projector; 0: that of learning_rate."
    )
    unfreeze_mm_vision_tower: bool = Field(False, description="Train the vision tower as well.")
    freeze: tuple[Literal["projector", "vision_tower", "language_model"], ...] = Field(
        (),
        description="Parts of the model that are not trained, besides the vision tower, which is trained only with "
        "unfreeze_mm_vision_tower; language_model needs lora_enable=false.",
    )
    split_long_conversations: bool = Field(
        True, description="Split records longer than model_max_length into several samples, between turns."
    )
    num_train_epochs: float = Field(
        10.1,
        gt=0,
        le=1000,
        description="Passes over the training set; fractions are allowed. Typical search range: 1 to 10.",
    )
    max_steps: int = Field(
        -1,
        ge=-1,
        description="Optimizer steps, 1 or more, instead of num_train_epochs; -1: train for num_train_epochs.",
    )
    per_device_train_batch_size: int = Field(2, ge=1, le=4096, description="Samples per device and micro-batch.")
    per_device_eval_batch_size: int = Field(
        4, ge=1, le=4096, description="Samples per device and batch during validation."
    )
    gradient_accumulation_steps: int = Field(
        10, ge=1, le=4096, description="Micro-batches per device and optimizer step. Typical search range: 1 to 10."
    )
    learning_rate: float = Field(
        1e-5,
        gt=0,
        le=1,
        description="Peak learning rate of the trained weights, except the projector's if mm_projector_lr is set. "
        "Typical search range: 2e-5 to 4e-3.",
    )
    weight_decay: float = Field(
        0.0, ge=0, le=1, description="AdamW weight decay, relative to the learning rate, per step."
    )
    warmup_ratio: float = Field(
        0.03,
        ge=0,
        le=1,
        description="Share of the steps with linear warmup of the learning rate, rounded up to whole steps. A "
        "training of a single step has no warmup.",
    )
    lr_scheduler_type: Literal["cosine", "linear", "constant", "constant_with_warmup"] = Field(
        "cosine", description="Learning rate schedule after the warmup."
    )
    adam_beta2: float = Field(
        0.999, gt=0, lt=1, description="AdamW beta2. Lower values suit trainings of a few hundred steps."
    )
    max_grad_norm: float = Field(
        1.0, gt=0, description="Maximum L2 norm of all gradients together; larger ones are clipped."
    )
    eval_strategy: Literal["no", "steps", "epoch"] = Field(
        "no",
        validation_alias=AliasChoices("eval_strategy", "evaluation_strategy"),
        description="When to compute the validation loss: never, every eval_steps or after each epoch; steps and "
        "epoch also validate at the end.",
    )
    eval_steps: int = Field(300, ge=1, description="Optimizer steps between validations.")
    eval_answers: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Number of captions and of questions of the validation set to answer at each validation, for "
        "CIDEr and accuracy; 0: none.",
    )
    metric_for_best_model: Literal["loss", "cider", "accuracy", "score"] = Field(
        "loss",
        description="Metric that selects the best checkpoint, which is kept in the folder best. score: one objective "
        "for all sources.",
    )
    save_strategy: Literal["steps", "no"] = Field(
        "steps", description="steps: save a checkpoint every save_steps and at the end; no: only at the end."
    )
    save_steps: int = Field(300, ge=1, description="Optimizer steps between checkpoints.")
    save_total_limit: int | None = Field(1, ge=0, description="Maximum number of checkpoints on disk; 0: keep all.")
    logging_steps: int = Field(
        1, ge=1, description="Optimizer steps between log lines; the last step is always logged."
    )
    bf16: bool = Field(True, description="Compute in bfloat16.")
    tf32: bool = Field(True, description="Use TF32 for float32 matrix products on a GPU; no effect on a CPU.")
    model_max_length: int = Field(
        2048, ge=64, le=131_072, description="Maximum length of a sample in tokens, image tokens included."
    )
    gradient_checkpointing: bool = Field(True, description="Recompute activations in the backward pass to save memory.")
    group_by_modality_length: bool = Field(True, description="Batch samples of similar length; off: random order.")
    length_grouping: Literal["tokens", "reference"] = Field(
        "tokens",
        description="Length measure for grouping: tokens, including image tokens, or reference: words, as LLaVA "
        "counts them.",
    )
    dataloader_num_workers: int = Field(4, ge=0, le=256, description="Data loader processes per device.")
    deepspeed: Literal["zero2", "zero3", "zero3_offload"] | None = Field(
        None, description="DeepSpeed configuration in infra/deepspeed. Empty: no DeepSpeed."
    )
    nproc_per_node: int = Field(1, ge=1, le=64, description="Training processes per machine, one per GPU.")
    nnodes: int = Field(
        1, ge=1, le=1024, description="Number of machines that train together; they share the workspace's file system."
    )
    node_rank: int = Field(
        0, ge=0, description="Index of this machine, from 0; machine 0 prepares the data and saves the checkpoints."
    )
    rdzv_endpoint: str | None = Field(
        None,
        pattern=r"^[\w.-]+:\d+$",
        description="Rendezvous endpoint of several machines: HOST:PORT of machine 0. Empty: a single machine.",
    )
    use_cpu: bool = Field(False, description="Train on the CPU even if a GPU is present.")
    seed: int = Field(
        42, ge=0, le=2**32 - 1, description="Random seed of the LoRA initialization and of the sample order."
    )
    report_to: tuple[Literal["wandb"], ...] = Field(
        (), description="Experiment trackers for training curves, besides the log."
    )
    wandb_mode: Literal["auto", "online", "offline", "disabled"] = Field(
        "auto",
        description="Weights & Biases mode. auto: online if an API key is found, else offline files for a later "
        "`wandb sync`. The environment variable WANDB_MODE overrides this setting.",
    )
    run_timeout_h: float = Field(240, gt=0, description="Time limit of the training process in hours.")

    @field_validator(*ZERO_IS_NONE)
    @classmethod
    def _zero_is_none(cls, value: float | None) -> float | None:
        # a field that is emptied in Prefect's form gets its default, so that null needs a number
        return value or None

    @field_validator("report_to", mode="before")
    @classmethod
    def _accept_the_forms_of_transformers(cls, value: object) -> object:
        # transformers also accepts a single word, and the word none
        words = [value] if isinstance(value, str) else value
        return [word for word in words if word != "none"] if isinstance(words, (list, tuple)) else words

    @model_validator(mode="after")
    def _max_steps_is_not_zero(self) -> "TrainingConfig":
        if self.max_steps == 0:
            raise ValueError("max_steps is 0: set it to 1 or more, or to -1 to train for num_train_epochs")
        return self

    @model_validator(mode="after")
    def _metrics_need_validation(self) -> "TrainingConfig":
        if self.eval_answers and self.eval_strategy == "no":
            raise ValueError(f"eval_answers is {self.eval_answers}: set eval_strategy to steps or epoch")
        if self.metric_for_best_model != "loss" and not self.eval_answers:
            raise ValueError(f"metric_for_best_model is {self.metric_for_best_model}: set eval_answers above 0")
        return self

    @model_validator(mode="after")
    def _some_part_is_trained(self) -> "TrainingConfig":
        if "vision_tower" in self.freeze and self.unfreeze_mm_vision_tower:
            raise ValueError("freeze holds vision_tower, and unfreeze_mm_vision_tower is true: set one of them")
        if "language_model" not in self.freeze:
            return self
        if self.lora_enable:
            raise ValueError("freeze holds language_model, which LoRA trains: set lora_enable to false")
        if "projector" in self.freeze and not self.unfreeze_mm_vision_tower:
            raise ValueError("freeze leaves nothing to train: take out projector or language_model")
        return self

    @model_validator(mode="after")
    def _machines_have_an_endpoint(self) -> "TrainingConfig":
        if self.nnodes > 1 and self.rdzv_endpoint is None:
            raise ValueError(f"nnodes is {self.nnodes}: set rdzv_endpoint to HOST:PORT of machine 0")
        if self.node_rank >= self.nnodes:
            raise ValueError(f"node_rank is {self.node_rank}, but it must be between 0 and nnodes - 1")
        return self

    @property
    def world_size(self) -> int:
        """Training processes on all machines."""
        return self.nnodes * self.nproc_per_node

    @property
    def micro_batches_per_step(self) -> int:
        """Micro-batches per optimizer step, over all processes."""
        return self.world_size * self.gradient_accumulation_steps

    @property
    def content(self) -> dict[str, object]:
        """The fields that determine the trained weights."""
        # as for trainings from before there was `freeze`
        unset = () if self.freeze else ("freeze",)
        kept = self.model_dump(mode="json", exclude={*self.WITHOUT_EFFECT, *self.DIVISION, *unset})
        # the key is part of saved trainings' identity and must not change
        return {**kept, "micro_batches_a_step": self.micro_batches_per_step}
