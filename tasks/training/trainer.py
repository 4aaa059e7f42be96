"""The training loop: transformers' Trainer with LLaVA's loss and optimizer groups, and with complete checkpoints."""

from collections.abc import Callable, Mapping
from functools import cache
from inspect import signature
from pathlib import Path

import torch
from accelerate.utils import broadcast_object_list
from peft import PeftModel
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LRScheduler
from transformers import Trainer
from transformers.trainer_utils import EvalLoopOutput
from transformers.utils import ModelOutput

from tasks.model.adapters import load_projector
from tasks.model.checkpoint_origin import CheckpointOrigin, write_origin
from tasks.model.encoding import IGNORE_INDEX
from tasks.model.family import ModelFamily
from tasks.model.processor import Processor
from tasks.paths import ADAPTER_CONFIG, COMPLETE, checkpoint_name
from tasks.settings import TrainingConfig
from tasks.training.callbacks import ValidateAtEnd
from tasks.training.checkpoint_checks import checkpoint_fault, require_trained
from tasks.training.checkpoint_weights import (
    add_to_adapter,
    gather,
    load_weights,
    published_weights,
    record_tied_head,
    write_non_lora,
)
from tasks.training.collator import Collator, SampleDataset
from tasks.training.loss_guard import UnloggedLoss
from tasks.training.sampler import EpochSampler, train_sampler
from tasks.training.saved_checkpoints import mark_complete, rotate, write_model_card
from tasks.training.trainable import non_lora_names, optimizer_groups
from tasks.training.validation import TokenCount, keep_best, validation_loss
from tasks.training.validation_answers import AnswerScores

FIRST_MOVING_STEP = 2


def answer_logits(
    model: torch.nn.Module, inputs: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, ModelOutput]:
    """Logits (B, T, V) float32 and target labels (B, T), from the batch's first answer token on, and all outputs.

    `inputs` is a batch of the Collator. The tokens before, image and prompt, are most of a sample and need no logits.
    """
    labels = inputs["labels"]
    first = int((labels != IGNORE_INDEX).any(dim=0).int().argmax())
    others = {name: value for name, value in inputs.items() if name != "labels"}
    # the token before the first answer predicts its first token
    kept = labels.shape[1] - first + 1
    fewer = {"logits_to_keep": kept} if _takes_logits_to_keep(type(_without_wrappers(model)).forward) else {}
    outputs = model(**others, **fewer, use_cache=False)
    return outputs.logits[:, -kept:-1].float(), labels[:, first:], outputs


@cache
def _takes_logits_to_keep(forward: Callable[..., object]) -> bool:
    """Whether a model's forward pass computes logits of the last tokens alone on request; some compute all of them."""
    return "logits_to_keep" in signature(forward).parameters


def _without_wrappers(model: torch.nn.Module) -> torch.nn.Module:
    """The family's model inside the wrappers of torch or DeepSpeed, and of PEFT."""
    inner = getattr(model, "module", model)
    return inner.get_base_model() if isinstance(inner, PeftModel) else inner


def mean_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of logits (B, T, V), averaged over all supervised tokens of labels (B, T); a float32 scalar."""
    return cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE_INDEX)


def sample_losses(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed loss (B,) float32 and number of supervised tokens (B,) int64 of each sample.

    `logits` (B, T, V) and `labels` (B, T) are those of answer_logits.
    """
    losses = cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE_INDEX, reduction="none")
    return losses.view_as(labels).sum(dim=1), (labels != IGNORE_INDEX).sum(dim=1)


class ConversationTrainer(Trainer):
    """Trainer that takes the plain mean over micro-batches and completes every checkpoint before it rotates.

    `origin` is written to every checkpoint; `on_complete` is called with each complete one before older ones are
    deleted. The first one after a step with a learning rate above 0 is checked: if training changed nothing,
    TrainingError is raised.
    """

    def __init__(
        self,
        *,
        config: TrainingConfig,
        family: ModelFamily,
        processor: Processor,
        origin: CheckpointOrigin,
        on_complete: Callable[[Path], None],
        **options: object,
    ):
        super().__init__(
            data_collator=Collator(processor),
            compute_metrics=validation_loss,
            **options,
        )
        self.add_callback(ValidateAtEnd)
        self.unlogged = UnloggedLoss(self)
        self.add_callback(self.unlogged)
        self.counted = TokenCount()
        self.answer_scores: AnswerScores | None = None
        self.config, self.processor, self.origin, self.on_complete = config, processor, origin, on_complete
        self.names = family.names
        # the projector's initial values, until a checkpoint shows that it changed
        self.start: dict[str, torch.Tensor] | None = gather(
            self.model, lambda name, trained: trained and self.names.is_projector(name)
        )
        # transformers would weight micro-batches by their tokens; the reference takes the plain mean
        self.model_accepts_loss_kwargs = False

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        self.optimizer: torch.optim.Optimizer | None
        if self.optimizer is None:
            cls, options = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            options.pop("lr", None)
            self.optimizer = cls(optimizer_groups(self.model, self.config, self.names), **options)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> LRScheduler:
        # a warm-up starts at rate 0: with a single step, the model would stay untrained
        if num_training_steps == 1:
            self.args.warmup_steps = 0
        return super().create_scheduler(num_training_steps, optimizer)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, ModelOutput]:
        """Mean cross-entropy of the supervised tokens, a float32 scalar."""
        self.counted.add(inputs["attention_mask"])
        logits, labels, outputs = answer_logits(model, inputs)
        loss = mean_loss(logits, labels)
        return (loss, outputs) if return_outputs else loss

    def prediction_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[None, torch.Tensor, torch.Tensor]:
        """Summed loss (B,) and number of supervised tokens (B,) of each sample, for validation_loss."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            logits, labels, _ = answer_logits(model, inputs)
        return None, *sample_losses(logits, labels)

    def evaluation_loop(self, *args: object, **options: object) -> EvalLoopOutput:
        """The loss and, if questions are answered too, the scores of the answers."""
        output = super().evaluation_loop(*args, **options)
        if self.answer_scores is not None:
            known = self.state.log_history
            scores = self.answer_scores.take(self.model, self.accelerator, self.args.eval_batch_size, known)
            output.metrics.update({f"eval_{name}": score for name, score in scores.items()})
        return output

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, and add the number of trained tokens and their padding to the loss of a step."""
        if "loss" in logs:
            logs |= self.counted.take(self.accelerator)
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: dict[str, torch.Tensor]) -> int:
        """Not counted: transformers would iterate over all parameters for every micro-batch."""
        return 0

    def _determine_best_metric(self, metrics: dict[str, float], trial: object) -> bool:
        best: bool = super()._determine_best_metric(metrics, trial)
        # a best score is useless without its model
        if best and self.state.best_global_step == self.state.global_step:
            self.control.should_save = True
        return best

    def _get_train_sampler(self, train_dataset: SampleDataset | None = None) -> EpochSampler:
        dataset: SampleDataset = train_dataset or self.train_dataset
        return train_sampler(dataset.samples, self.config, self.args.train_batch_size, self.args.world_size)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the trained parameters; with LoRA, ZeRO-3 gathers only those, and never the frozen base."""
        if not self.config.lora_enable:
            super().save_model(output_dir, _internal_call)
            return
        in_full = non_lora_names(self.model, self.names)
        weights = gather(self.model, lambda name, trained: trained or name in in_full)
        if self.args.should_save:
            self._save(output_dir, weights)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, torch.Tensor] | None = None) -> None:
        """Save the model, and the config, tokenizer and processor files that are needed to load it."""
        if not self.args.should_save:
            return
        record_tied_head(self.model)
        if not self.config.lora_enable:
            state_dict = published_weights(self.model, state_dict, self.names)
        super()._save(output_dir, state_dict)
        folder = Path(output_dir or self.args.output_dir)
        if self.config.lora_enable:
            weights, in_full = state_dict or {}, non_lora_names(self.model, self.names)
            write_non_lora(folder, weights, in_full)
            add_to_adapter(folder, weights, in_full, self.names)
            self.model.config.save_pretrained(folder)
        self.model.generation_config.save_pretrained(folder)
        self.processor.save(folder)

    def _save_checkpoint(self, model: torch.nn.Module, trial: object) -> None:
        self.unlogged.gather()
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        self._require_trained()
        if self.is_world_process_zero():
            self._complete_checkpoint()
        self.accelerator.wait_for_everyone()

    def _require_trained(self) -> None:
        """Check the first checkpoint; a warm-up starts with a step at rate 0, which changes nothing."""
        if self.start is None or self.state.global_step < FIRST_MOVING_STEP:
            return
        found: list[str | None] = [None]
        if self.is_world_process_zero():
            found = [checkpoint_fault(self._folder, self.model, self.start, self.names)]
        # sent to all ranks: if one fails alone, the others wait for it
        require_trained(self._folder, broadcast_object_list(found)[0])
        self.start = None

    @property
    def _folder(self) -> Path:
        """The folder of this step's checkpoint."""
        return Path(self.args.output_dir) / checkpoint_name(self.state.global_step)

    def save_last(self) -> None:
        """Save a checkpoint of the last step, unless there is one already."""
        if not (self._folder / COMPLETE).is_file():
            self._save_checkpoint(self.model, None)

    def _complete_checkpoint(self) -> None:
        step, folder = self.state.global_step, self._folder
        write_model_card(folder, step, self.origin, self.config.lora_enable)
        write_origin(folder, self.origin)
        mark_complete(folder, step, self.origin.training)
        self.on_complete(folder)
        keep_best(folder.parent, self.state.best_global_step)
        rotate(folder.parent, self.config.save_total_limit)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        folder = Path(resume_from_checkpoint)
        if not self.config.lora_enable:
            # transformers looks for the modules' names, finds none in the file and would continue with the base
            load_weights(self.model, folder, self.names)
            return
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if (folder / ADAPTER_CONFIG).is_file():
            load_projector(self.model, folder, self.names)
