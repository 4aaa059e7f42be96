"""The stages of an experiment as plain functions, one after the other: what is left of it without Prefect.

python tests/benchmarks/plain_experiment.py YAML WORKSPACE
"""

import sys
from pathlib import Path
from typing import Any

from deployments.configuration import load_config
from tasks.data.duplicates.audit import audit_file
from tasks.data.preparing import prepare_dataset, raw_data
from tasks.data.set_files import set_paths
from tasks.data.set_statistics import count_tokens
from tasks.data.synthetic.dataset import draw_sample
from tasks.evaluation.comparison import compare
from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
from tasks.files import digest_of, read_json, write_json, write_text
from tasks.inference.request import AnswerStore, PredictRequest
from tasks.manifests import atomic_folder, write_manifest
from tasks.model.llava.configured_base import configured_base
from tasks.paths import FILTERED_TEST_SET, FINAL_ANSWERS, TRAIN_SET, TRAINER_STATE
from tasks.preflight.preflight import run_preflight
from tasks.processes import run_worker
from tasks.records import CheckpointRef, DatasetRef, ModelRef, PredictionsRef, ReportRef
from tasks.settings import ExperimentConfig
from tasks.storage.checkpoints.archiver import Archive
from tasks.storage.checkpoints.uploader import Uploader
from tasks.storage.run_outputs import archive_results
from tasks.storage.runs import Run, claim_store, open_run
from tasks.training.job import TrainingJob
from tasks.training.launch import train
from tasks.training.loss_curve import draw_losses


def main(yaml: str, workspace: Path) -> None:
    """Run the experiment of a YAML file, from the data to the comparison with its base model."""
    config = load_config(yaml)
    run = open_run(config, "plain", workspace)
    report = run_preflight(config, run.workspace_root, None)
    write_json(run.folder.preflight, report.model_dump(mode="json"))
    dataset = prepare(config, run)
    base = configured_base(Path(config.model.base), config.model, run.workspace.models)
    with atomic_folder(run.folder.tokens) as part:
        write_json(part / "tokens.json", count_tokens(dataset.path, base.path))
        write_manifest(part, digest_of([dataset.content, base.content]))
    run = claim_store(run, digest_of([dataset.content, base.content]), run.store())
    checkpoint = fine_tune(config, run, base, dataset)
    order: dict[str, Any] = {"base": str(base.path), "checkpoint": str(checkpoint.path), "out": str(run.folder.merged)}
    merged = ModelRef.model_validate(run_worker("tasks.merging.worker", {**order, **config.merging.model_dump()}))
    answers = {
        label: answer(config, run, label, model, dataset) for label, model in (("base", base), ("final", merged))
    }
    scores = {label: score(config, run, label, dataset, answers) for label in answers}
    write_json(run.folder.comparison, compare(scores["base"].path, scores["final"].path, None))
    archive_results(run, dataset.path, checkpoint, run.store())


def prepare(config: ExperimentConfig, run: Run) -> DatasetRef:
    """Draw the sample and make the sets of it."""
    root = run.workspace.sample_data
    draw_sample(root, config.data.sample)
    data = raw_data(root, config.data)
    return prepare_dataset(data.raw, data.images, config.data, run.folder.sets)


def fine_tune(config: ExperimentConfig, run: Run, base: ModelRef, dataset: DatasetRef) -> CheckpointRef:
    """Train while the uploader runs, and draw the loss curve."""
    order = TrainingJob(
        run=run.name, base=base, dataset=dataset, model=config.model, training=config.training,
        out=run.folder.training, staging=run.folder.staging, resume=True,
    )  # fmt: skip
    archive = Archive(run.folder.staging, run.store(), run.store_name, run.archive, lambda step, archived: None)
    checkpoint = train(order, print, Uploader(archive))
    write_text(run.folder.loss_curve, draw_losses(run.name, read_json(checkpoint.path / TRAINER_STATE)["log_history"]))
    return checkpoint


def answer(config: ExperimentConfig, run: Run, label: str, model: ModelRef, dataset: DatasetRef) -> PredictionsRef:
    """Answer the test set with one model."""
    request = PredictRequest(
        model=model.path, model_sha256=model.sha256, data=dataset.path / FILTERED_TEST_SET, images=dataset.images,
        out=run.folder.predictions(label), name=label, config=config.inference,
        subset_size=config.data.subset_size, store=AnswerStore(uri=run.store_uri, config=run.store_config),
    )  # fmt: skip
    order = {"request": request.model_dump(mode="json"), "share": None}
    return PredictionsRef.model_validate(run_worker("tasks.inference.worker", order))


def score(
    config: ExperimentConfig, run: Run, label: str, dataset: DatasetRef, answers: dict[str, PredictionsRef]
) -> ReportRef:
    """Score the answers of one model and of the base model."""
    if not run.folder.audit.exists():
        with atomic_folder(run.folder.audit) as part:
            audit_file(set_paths(dataset.path)["test"], dataset.images, part, dataset.path)
            write_manifest(part, dataset.content)
    files = EvaluationFiles(
        data=dataset.path / FILTERED_TEST_SET,
        predictions=answers[label].path / FINAL_ANSWERS,
        train=dataset.path / TRAIN_SET,
        audit=run.folder.audit,
        base=answers["base"].path / FINAL_ANSWERS if label != "base" else None,
        images=dataset.images,
    )
    return evaluate(files, run.folder.report(label), config.evaluation)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
