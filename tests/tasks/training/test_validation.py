"""The validation loss weights every token equally, and the best checkpoint survives rotation."""

import gc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tasks.errors import ConfigError, UserError
from tasks.files import read_json, write_json
from tasks.model.loading import load_model
from tasks.records import DatasetRef
from tasks.settings import TrainingConfig
from tasks.training.collator import Collator, SampleDataset
from tasks.training.job import TrainingJob
from tasks.training.samples import LengthLimit, make_samples
from tasks.training.trainer import answer_logits, sample_losses
from tasks.training.validation import TokenCount, keep_best, validation_loss
from tasks.training.worker import work

JobFor = Callable[..., TrainingJob]
# one process and no workers: the results do not depend on them
SETTINGS: dict[str, Any] = {
    **{"evaluation_strategy": "steps", "eval_steps": 2, "per_device_eval_batch_size": 3, "eval_answers": 3},
    **{"max_steps": 7, "save_steps": 3, "save_total_limit": 1, "lr_scheduler_type": "constant"},
}
# text that is not in the training set, and becomes less likely the longer the model trains
CONTRARY = "0123 5678 QXZ {~} 0123 5678 QXZ"


def contrary_sets(job: TrainingJob, folder: Path) -> DatasetRef:
    """The job's training set, and a validation set of captions and a question whose loss rises in training."""
    folder.mkdir()
    records = read_json(job.dataset.path / "data_train.json")
    write_json(folder / "data_train.json", records)
    asked = ["<image>\nDescribe this image.", "<image>\nGive a caption.", "<image>\nIs there a road?"]
    turns = [
        [{"from": "human", "value": question}, {"from": "gpt", "value": CONTRARY[n:]}]
        for n, question in enumerate(asked)
    ]
    validation = [{**record, "conversations": said} for record, said in zip(records, [*turns, turns[0]], strict=False)]
    write_json(folder / "data_val.json", validation)
    return job.dataset.model_copy(update={"path": folder})


@pytest.fixture(scope="session")
def validated(job_for: JobFor, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Seven steps, validated every two; not to be changed."""
    folder = tmp_path_factory.mktemp("validated")
    job = job_for(folder / "training", folder / "staging", **SETTINGS)
    job = job.model_copy(update={"dataset": contrary_sets(job, folder / "sets")})
    work(job.model_dump(mode="json"))
    state = read_json(job.out / "final" / "trainer_state.json")
    history = [entry for entry in state["log_history"] if "eval_loss" in entry]
    return SimpleNamespace(out=job.out, job=job, state=state, history=history)


def measured_loss(job: TrainingJob, adapter: Path, batch_size: int) -> float:
    """The mean over all supervised tokens of the validation set, batch by batch."""
    loaded = load_model(job.base.path, adapter, "float32")
    processor, records = loaded.processor, read_json(job.dataset.path / "data_val.json")
    samples, _ = make_samples(records, processor, job.dataset.images, LengthLimit(2048, split=True))
    items, collate = SampleDataset(samples, job.dataset.images, processor), Collator(processor)
    sums, counts = [], []
    for start in range(0, len(items), batch_size):
        batch = collate([items[i] for i in range(start, min(start + batch_size, len(items)))])
        with torch.no_grad():
            logits, labels, _ = answer_logits(loaded.model, batch)
        for part, value in zip((sums, counts), sample_losses(logits, labels), strict=True):
            part.append(value)
    prediction = SimpleNamespace(predictions=torch.cat(sums).numpy(), label_ids=torch.cat(counts).numpy())
    return validation_loss(prediction)["loss"]


def test_validation_loss_weights_every_token_equally() -> None:
    prediction = SimpleNamespace(predictions=np.array([3.0, 4.0], "float32"), label_ids=np.array([1, 4]))
    assert validation_loss(prediction) == {"loss": 1.4}


def test_validation_runs_every_eval_steps_and_at_the_end(validated: SimpleNamespace) -> None:
    assert [entry["step"] for entry in validated.history] == [2, 4, 6, 7]


def test_validation_uses_its_own_batch_size(validated: SimpleNamespace) -> None:
    for entry in validated.history:
        # 4 samples in batches of 3
        assert entry["eval_samples_per_second"] / entry["eval_steps_per_second"] == pytest.approx(2, rel=0.01)


def test_checkpoints_are_saved_every_few_steps_at_the_best_and_at_the_end(validated: SimpleNamespace) -> None:
    losses = {entry["step"]: entry["eval_loss"] for entry in validated.history}
    record = [step for step, loss in losses.items() if all(loss < losses[old] for old in losses if old < step)]
    staged = {path.name for path in validated.job.staging.iterdir()}
    assert staged == {f"checkpoint-{step}" for step in {3, 6, 7, *record}}


def test_validation_by_epochs_runs_after_each_and_at_the_end(
    job_for: JobFor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # seconds that PyTorch waits for each data loader process when it is collected
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.1)
    settings = {"eval_strategy": "epoch", "max_steps": -1, "num_train_epochs": 1.5, "save_strategy": "no"}
    job = job_for(tmp_path / "training", **settings, dataloader_num_workers=1)
    work(job.model_dump(mode="json"))
    gc.collect()
    history = read_json(job.out / "final" / "trainer_state.json")["log_history"]
    assert [entry["step"] for entry in history if "eval_loss" in entry] == [6, 9]
    # no other checkpoint was requested
    assert {path.name for path in job.out.iterdir()} == {"checkpoint-9", "final"}


# the last checkpoint is the best here, which would have it saved a second time
def test_checkpoint_at_the_end_of_an_epoch_holds_its_validation_and_is_saved_once(
    job_for: JobFor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"eval_strategy": "epoch", "max_steps": -1, "num_train_epochs": 2, "save_steps": 6}
    job = job_for(tmp_path / "training", **settings)
    work(job.model_dump(mode="json"))
    for name, validated_at in (("checkpoint-6", [6]), ("checkpoint-12", [6, 12]), ("final", [6, 12])):
        history = read_json(job.out / name / "trainer_state.json")["log_history"]
        assert [entry["step"] for entry in history if "eval_loss" in entry] == validated_at
    lines = capsys.readouterr().out.split("\n")
    assert [line for line in lines if line.startswith("checkpoint complete")] == [
        f"checkpoint complete: checkpoint-{step}" for step in (6, 12)
    ]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_loss_does_not_depend_on_the_batches(validated: SimpleNamespace, batch_size: int) -> None:
    best = validated.out / "best"
    assert measured_loss(validated.job, best, batch_size) == pytest.approx(best_of(validated)["eval_loss"], abs=1e-5)


def best_of(validated: SimpleNamespace) -> dict[str, Any]:
    return min(validated.history, key=lambda entry: entry["eval_loss"])


def test_best_checkpoint_is_kept_with_a_limit_of_one(validated: SimpleNamespace) -> None:
    best = best_of(validated)
    # otherwise the last one would be the best, and the test would show nothing
    assert best["step"] < 7
    assert {path.name for path in validated.out.iterdir()} == {"checkpoint-7", "best", "final"}
    assert read_json(validated.out / "best" / "COMPLETE.json")["step"] == best["step"]
    state = read_json(validated.out / "best" / "trainer_state.json")
    assert (state["best_global_step"], state["best_metric"]) == (best["step"], best["eval_loss"])
    assert (validated.state["best_global_step"], validated.state["global_step"]) == (best["step"], 7)


def test_best_checkpoint_differs_from_the_last(validated: SimpleNamespace) -> None:
    best, last = (load_file(validated.out / name / "adapter_model.safetensors") for name in ("best", "final"))
    assert all(not torch.equal(best[name], last[name]) for name in best)


def test_answers_are_scored_at_every_validation(validated: SimpleNamespace) -> None:
    for entry in validated.history:
        assert 0 <= entry["eval_cider"] <= 10
        assert 0 <= entry["eval_accuracy"] <= 1


def test_tokens_and_padding_of_a_step_are_logged(validated: SimpleNamespace) -> None:
    steps = [entry for entry in validated.state["log_history"] if "loss" in entry]
    assert len(steps) == 7
    for entry in steps:
        assert entry["tokens"] > 4 * 64
        assert 0 <= entry["padding_share"] < 0.5


def test_validation_does_not_change_the_trained_weights(
    validated: SimpleNamespace, job_for: JobFor, tmp_path: Path
) -> None:
    settings = {**SETTINGS, "evaluation_strategy": "no", "eval_answers": 0}
    job = job_for(tmp_path / "training", **settings)
    work(job.model_dump(mode="json"))
    assert not (job.out / "best").exists()
    with_it, without = (load_file(out / "final/adapter_model.safetensors") for out in (validated.out, job.out))
    assert all(torch.equal(with_it[name], without[name]) for name in with_it)


def test_best_is_restored_after_a_kill(validated: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "checkpoint-7").mkdir()
    for path in (validated.out / "checkpoint-7").iterdir():
        (tmp_path / "checkpoint-7" / path.name).hardlink_to(path)
    for step in (None, 3, 7):
        keep_best(tmp_path, step)
    assert read_json(tmp_path / "best" / "COMPLETE.json")["step"] == 7
    kept = (tmp_path / "best" / "COMPLETE.json").stat().st_mtime_ns
    keep_best(tmp_path, 7)
    assert (tmp_path / "best" / "COMPLETE.json").stat().st_mtime_ns == kept


def test_validation_without_a_validation_set_is_refused(job_for: JobFor, tmp_path: Path) -> None:
    job = job_for(tmp_path / "training", eval_strategy="epoch")
    dataset = contrary_sets(job, tmp_path / "sets")
    write_json(dataset.path / "data_val.json", [])
    with pytest.raises(ConfigError, match=r"training\.eval_strategy=no"):
        work(job.model_copy(update={"dataset": dataset}).model_dump(mode="json"))


def test_best_metric_without_questions_is_refused(job_for: JobFor, tmp_path: Path) -> None:
    job = job_for(tmp_path / "training", eval_strategy="epoch", eval_answers=1, metric_for_best_model="accuracy")
    with pytest.raises(UserError, match="The validation set has no questions for the metric accuracy"):
        work(job.model_dump(mode="json"))


@pytest.mark.parametrize(
    "settings", [{"eval_answers": 5}, {"eval_strategy": "steps", "metric_for_best_model": "cider"}]
)
def test_answer_settings_without_validation_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="set eval_"):
        TrainingConfig(**settings)


def test_token_count_is_reset_when_taken() -> None:
    accelerator = SimpleNamespace(device=torch.device("cpu"), reduce=lambda value, _: value * 2)
    count = TokenCount()
    count.add(torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]))
    count.add(torch.tensor([[1, 1, 0, 0]]))
    assert count.take(accelerator) == {"tokens": 18, "padding_share": 0.25}
    assert count.take(accelerator) == {}
