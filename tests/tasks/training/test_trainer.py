"""The loss equals the model's own, from fewer logits; bfloat16 trains with float32 copies of the trained weights."""

from collections.abc import Callable
from pathlib import Path

import torch
from transformers.utils import ModelOutput

from tasks.merging.merge import merge_adapter
from tasks.model.llava.tensor_names import NAMES
from tasks.model.loading import load_model
from tasks.records import DatasetRef
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


class AllLogits(torch.nn.Module):
    """A model whose forward pass cannot leave out logits."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.inner = model

    def forward(self, use_cache: bool, **inputs: torch.Tensor) -> ModelOutput:
        assert set(inputs) == {"input_ids", "attention_mask", "pixel_values"}
        return self.inner(**inputs)


def test_model_that_computes_all_logits_has_the_same_loss(tiny_model_dir: Path, dataset: DatasetRef) -> None:
    loaded = load_model(tiny_model_dir)
    one = sample(loaded, [("human", "<image>\nWhat is it?"), ("gpt", "an airport")])
    batch = Collator(loaded.processor)([SampleDataset([one], dataset.images, loaded.processor)[0]])
    logits, labels, _ = answer_logits(loaded.model, batch)
    all_logits, same_labels, _ = answer_logits(AllLogits(loaded.model), batch)
    assert torch.equal(labels, same_labels)
    torch.testing.assert_close(all_logits, logits)


def test_checkpoint_of_a_frozen_projector_holds_that_of_the_base(job_for: JobFor, tmp_path: Path) -> None:
    job = job_for(tmp_path / "run", freeze=["projector"], max_steps=2)
    trainer = build_trainer(job, training_arguments(job))
    trainer.train()
    checkpoint = job.out / "checkpoint-2"
    loaded, base = load_model(job.base.path, checkpoint, "float32"), load_model(job.base.path, dtype="float32")
    values = dict(base.model.named_parameters())
    projector = {n: v for n, v in loaded.model.named_parameters() if NAMES.is_projector(n)}
    assert len(projector) == 4
    assert all(torch.equal(value, values[NAMES.canonical(name)]) for name, value in projector.items())
    merged = load_model(merge_adapter(job.base.path, checkpoint, tmp_path / "merged").path, dtype="float32")
    image = loaded.processor.blank_image()
    inputs = {"input_ids": torch.tensor([[1, *image.token_ids, 203, 298]]), **image.tensors}
    with torch.no_grad():
        expected = loaded.model(**inputs).logits
        torch.testing.assert_close(merged.model(**inputs).logits, expected, atol=1e-5, rtol=0)
        assert (base.model(**inputs).logits - expected).abs().max() > 1e-2
