"""The loss of the loop is the model's own, computed from fewer logits."""

from pathlib import Path

import torch

from tasks.model.llava.prompt import encode_conversation
from tasks.model.loading import load_model
from tasks.training.collator import Collator, SampleDataset
from tasks.training.losses import mean_loss, predict_answers
from tasks.training.samples import Sample


def sample(loaded, turns) -> Sample:
    return Sample("id", "0.png", encode_conversation(loaded.tokenizer, turns), 0)


def test_the_loss_is_the_models_own_over_all_supervised_tokens(tiny_model_dir: Path, dataset):
    loaded = load_model(tiny_model_dir)
    question = ("human", "<image>\nWhat is it?")
    samples = [
        sample(loaded, [question, ("gpt", "an airport")]),
        sample(loaded, [question, ("gpt", "a forest"), ("human", "Is there a road beside it?"), ("gpt", "no")]),
    ]
    items = SampleDataset(samples, dataset.images, loaded)
    batch = Collator(loaded.tokenizer.pad_token_id)([items[0], items[1]])
    logits, labels, _ = predict_answers(loaded.model, batch)
    ours = mean_loss(logits, labels)
    theirs = loaded.model(**batch).loss
    assert torch.allclose(ours, theirs, rtol=1e-6)
    # the image and the first prompt have no logits
    assert logits.shape[1] < batch["labels"].shape[1] - loaded.image_tokens
