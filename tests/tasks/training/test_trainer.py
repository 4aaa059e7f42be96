"""The loss equals the model's own, from fewer logits; bfloat16 trains with float32 copies of the trained weights."""

from collections.abc import Callable
from pathlib import Path

import torch

from tasks.model.llava.tensor_names import NAMES
from tasks.model.loading import load_model
from tasks.training.arguments import training_arguments
from tasks.training.collator import Collator, SampleDataset
from tasks.training.job import TrainingJob
from tasks.training.samples import Sample
from tasks.training.trainer import answer_logits, mean_loss
from tasks.training.worker import build_trainer

JobFor = Callable[..., TrainingJob]


SMALL_RATES = {"bf16": True, "mm_projector_lr": 2e-6, "learning_rate": 2e-4, "max_steps": 5, "save_strategy": "no"}


def sample(loaded, turns) -> Sample:
    return Sample("id", ("0.png",), loaded.processor.encode_conversation(turns), 0)


def test_loss_equals_that_of_the_model_over_all_supervised_tokens(tiny_model_dir: Path, dataset):
    loaded = load_model(tiny_model_dir)
    question = ("human", "<image>\nWhat is it?")
    samples = [
        sample(loaded, [question, ("gpt", "an airport")]),
        sample(loaded, [question, ("gpt", "a forest"), ("human", "Is there a road beside it?"), ("gpt", "no")]),
    ]
    items = SampleDataset(samples, dataset.images, loaded.processor)
    batch = Collator(loaded.processor)([items[0], items[1]])
    logits, labels, _ = answer_logits(loaded.model, batch)
    ours = mean_loss(logits, labels)
    theirs = loaded.model(**batch).loss
    assert torch.allclose(ours, theirs, rtol=1e-6)
    # the image and the first prompt have no logits
    assert logits.shape[1] < batch["labels"].shape[1] - loaded.processor.image_tokens


def share_moved(job: TrainingJob, dtype: torch.dtype) -> float:
    """The share of the projector's elements that a few steps change if its type is `dtype`."""
    trainer = build_trainer(job, training_arguments(job))
    weights = [value for name, value in trainer.model.named_parameters() if NAMES.is_projector(name)]
    assert {value.dtype for value in weights} == {torch.float32}
    for value in weights:
        value.data = value.data.to(dtype)
    before = [value.detach().clone() for value in weights]
    trainer.train()
    changed = sum(int((value != old).sum()) for value, old in zip(weights, before, strict=True))
    return changed / sum(value.numel() for value in weights)


def test_small_updates_move_float32_weights_but_not_bfloat16_ones(job_for: JobFor, tmp_path: Path) -> None:
    job = job_for(tmp_path, **SMALL_RATES)
    kept, pure = share_moved(job, torch.float32), share_moved(job, torch.bfloat16)
    print(kept, pure)
    assert kept > 0.99
    assert pure < 0.2


def test_the_model_computes_in_bfloat16(job_for: JobFor, tmp_path: Path) -> None:
    trainer = build_trainer(job := job_for(tmp_path, **SMALL_RATES), training_arguments(job))
    seen: list[torch.dtype] = []
    head = trainer.model.get_output_embeddings()
    head.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    trainer.train()
    assert set(seen) == {torch.bfloat16}
