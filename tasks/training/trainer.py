"""The training loop: transformers' Trainer with LLaVA's optimiser groups and checkpoints that are whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from transformers import Trainer

from tasks.model.adapters import load_projector
from tasks.model.checkpoint_origin import CheckpointOrigin, write_origin
from tasks.model.llava.processor_files import save_processor
from tasks.model.llava.prompt import padding_id
from tasks.model.loading import Processor
from tasks.paths import ADAPTER_CONFIG, COMPLETE
from tasks.settings import TrainingConfig
from tasks.training.checkpoint_checks import fault_of, require_learned, whole_trainables
from tasks.training.checkpoints import (
    add_to_adapter,
    mark_complete,
    rotate,
    write_model_card,
    write_non_lora,
)
from tasks.training.collator import Collator, SampleDataset, blank_image
from tasks.training.full_weights import load_weights, note_ties, published_weights
from tasks.training.losses import mean_loss, predict_answers, sample_losses
from tasks.training.sampler import train_sampler
from tasks.training.trainable import PROJECTOR, non_lora_names, optimizer_groups
from tasks.training.unlogged_loss import UnloggedLoss
from tasks.training.validation import TokenCount, ValidateAtEnd, keep_best, validation_loss
from tasks.training.validation_answers import AnswerScores

FIRST_MOVING_STEP = 2


class LlavaTrainer(Trainer):
    """Trainer that averages micro-batches plainly and completes every checkpoint before it rotates.

    `origin` is told in every checkpoint; `on_complete` is called with each complete one before older ones are
    rotated away. The first one that follows a step with a rate above 0 is looked at: training that moves nothing
    ends there with TrainingError.
    """

    def __init__(
        self,
        *,
        config: TrainingConfig,
        processor: Processor,
        origin: CheckpointOrigin,
        on_complete: Callable[[Path], None],
        **options: Any,
    ):
        super().__init__(
            data_collator=Collator(padding_id(processor.tokenizer), blank_image(processor)),
            compute_metrics=validation_loss,
            **options,
        )
        self.add_callback(ValidateAtEnd)
        self.unlogged = UnloggedLoss(self)
        self.add_callback(self.unlogged)
        self.counted = TokenCount()
        self.answer_scores: AnswerScores | None = None
        self.config, self.processor, self.origin, self.on_complete = config, processor, origin, on_complete
        # where the projector starts, until it is seen to have moved
        self.start: dict[str, Any] | None = whole_trainables(self.model, PROJECTOR)
        # transformers would weigh micro-batches by their tokens; the reference takes the plain mean
        self.model_accepts_loss_kwargs = False

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        self.optimizer: torch.optim.Optimizer | None
        if self.optimizer is None:
            cls, options = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            options.pop("lr", None)
            self.optimizer = cls(optimizer_groups(self.model, self.config), **options)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        # a warm-up begins at rate 0: of one step alone it would leave an untrained model
        if num_training_steps == 1:
            self.args.warmup_steps = 0
        return super().create_scheduler(num_training_steps, optimizer)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean cross-entropy of the supervised tokens, in float32."""
        self.counted.add(inputs["attention_mask"])
        logits, labels, outputs = predict_answers(model, inputs)
        loss = mean_loss(logits, labels)
        return (loss, outputs) if return_outputs else loss

    def prediction_step(
        self, model: Any, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[None, torch.Tensor, torch.Tensor]:
        """Each sample's summed loss and supervised tokens, for validation_loss."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            logits, labels, _ = predict_answers(model, inputs)
        return None, *sample_losses(logits, labels)

    def evaluation_loop(self, *args: Any, **options: Any) -> Any:
        """The loss and, where questions are asked, the scores of their answers."""
        output = super().evaluation_loop(*args, **options)
        if self.answer_scores is not None:
            scores = self.answer_scores.take(self.model, self.accelerator, self.args.eval_batch_size)
            output.metrics.update({f"eval_{name}": score for name, score in scores.items()})
        return output

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, and with the loss of a step the tokens that it was trained on and their padding."""
        if "loss" in logs:
            logs |= self.counted.take(self.accelerator)
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: transformers would walk over all parameters for every micro-batch."""
        return 0

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        best: bool = super()._determine_best_metric(metrics, trial)
        # a best model of which only the loss is left would be no use
        if best and self.state.best_global_step == self.state.global_step:
            self.control.should_save = True
        return best

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        dataset: SampleDataset = train_dataset or self.train_dataset
        return train_sampler(dataset.samples, self.config, self.args.train_batch_size, self.args.world_size)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save what was trained; with LoRA, ZeRO-3 puts nothing else together, and never the frozen base."""
        if not self.config.lora_enable:
            super().save_model(output_dir, _internal_call)
            return
        weights = whole_trainables(self.model)
        if self.args.should_save:
            self._save(output_dir, weights)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Save the model, and beside it what a checkpoint needs to be loaded alone."""
        if not self.args.should_save:
            return
        note_ties(self.model)
        if not self.config.lora_enable:
            state_dict = published_weights(self.model, state_dict)
        super()._save(output_dir, state_dict)
        folder = Path(output_dir or self.args.output_dir)
        if self.config.lora_enable:
            for write in (write_non_lora, add_to_adapter):
                write(folder, state_dict or {}, non_lora_names(self.model))
            self.model.config.save_pretrained(folder)
        self.model.generation_config.save_pretrained(folder)
        save_processor(self.processor, folder)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self.unlogged.gather()
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        self._require_learned()
        if self.is_world_process_zero():
            self._complete_checkpoint()
        self.accelerator.wait_for_everyone()

    def _require_learned(self) -> None:
        """Look at the first checkpoint; the warm-up begins with a step at rate 0, which moves nothing."""
        if self.start is None or self.state.global_step < FIRST_MOVING_STEP:
            return
        found = [fault_of(self._folder, self.model, self.start) if self.is_world_process_zero() else None]
        # told to all: a rank that ends alone leaves the others waiting for it
        require_learned(self._folder, broadcast_object_list(found)[0])
        self.start = None

    @property
    def _folder(self) -> Path:
        """Where the checkpoint of this step stands."""
        return Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"

    def save_last(self) -> None:
        """Save the end of the training, unless its checkpoint is there already."""
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

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        folder = Path(resume_from_checkpoint)
        if not self.config.lora_enable:
            # transformers looks for the names of the modules, finds none in the file and goes on from the base
            load_weights(self.model, folder)
            return
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if (folder / ADAPTER_CONFIG).is_file():
            load_projector(self.model, folder)
