"""The pair of steps in every evaluation: answer a test set with one model, then score the answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.data.steps import audit_sets
from tasks.evaluation.steps import evaluate_answers
from tasks.inference.request import PredictionSpec
from tasks.inference.steps import answer_subsets
from tasks.orchestration.caching import make
from tasks.records import CheckpointRef, DatasetRef, FolderRef, ModelRef, PredictionsRef, ReportRef
from tasks.settings import EvaluationConfig, ExperimentConfig
from tasks.storage.runs import Run


class Answerer(NamedTuple):
    """A model, optionally with an adapter, and its label in the run: base, final or checkpoint-N."""

    label: str
    model: ModelRef
    adapter: CheckpointRef | None = None


def answer(run: Run, config: ExperimentConfig, answerer: Answerer, dataset: DatasetRef, out: Path) -> PredictionsRef:
    """Answer the test set of `dataset` with one model, into the folder `out`."""
    label, model, adapter = answerer
    spec = PredictionSpec(label=label, config=config.inference, subset_size=config.data.subset_size)
    # without an adapter the parameter must stay out of the step's cache key
    on = {} if adapter is None else {"adapter": adapter}
    superseded = run.folder.superseded
    return make(answer_subsets, out, superseded, None, model=model, dataset=dataset, spec=spec, run=run, **on)


def score(
    run: Run,
    config: EvaluationConfig,
    answers: Sequence[PredictionsRef],
    dataset: DatasetRef,
    out: Path,
    checkpoints: Sequence[ReportRef] = (),
) -> ReportRef:
    """Score a model's answers into the folder `out`.

    The second of `answers`, if given, are the base model's, shown for comparison; `checkpoints` are the reports of
    earlier checkpoints of the run. The sets are audited if `config` needs the clean part of the test set.
    """
    return make(
        evaluate_answers,
        out,
        run.folder.superseded,
        dataset=dataset,
        answers=list(answers),
        audit=_audit(run, config, dataset),
        checkpoints=list(checkpoints),
        config=config,
    )


def _audit(run: Run, config: EvaluationConfig, dataset: DatasetRef) -> FolderRef | None:
    if not (config.only_clean or config.clean_beside):
        return None
    return make(audit_sets, run.folder.audit, run.folder.superseded, dataset=dataset)
