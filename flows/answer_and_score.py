"""The pair of steps in every evaluation: answer a test set with one model, then score the answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.data.steps import audit_sets
from tasks.evaluation.steps import evaluate_answers
from tasks.files import digest_of
from tasks.inference.request import PredictionSpec
from tasks.inference.steps import answer_subsets
from tasks.orchestration.caching import make
from tasks.paths import BASE, TRANSFORMED
from tasks.records import CheckpointRef, DatasetRef, FolderRef, ModelRef, PredictionsRef, ReportContext, ReportRef
from tasks.settings import EvaluationConfig, ExperimentConfig
from tasks.storage.runs import Run

NO_CONTEXT = ReportContext()


class Answerer(NamedTuple):
    """A model, optionally with an adapter, and its label in the run: base, final or checkpoint-N."""

    label: str
    model: ModelRef
    adapter: CheckpointRef | None = None


def answer(run: Run, config: ExperimentConfig, answerer: Answerer, dataset: DatasetRef, out: Path) -> PredictionsRef:
    """Answer the test set of `dataset` with one model, into the folder `out`.

    A served model answers in place of the base alone; a run's own models are not on its server.
    """
    label, model, adapter = answerer
    # which other answers a run gives changes none of these
    inference = config.inference.with_transform(config.inference.transform)
    if inference.is_served and label == BASE:
        # the directory of the base plays no part: another one must not make all answers be asked again
        model = model.model_copy(update={"sha256": digest_of(inference.api.identity)})
    else:
        inference = inference.for_own_model()
    spec = PredictionSpec(label=label, config=inference, subset_size=config.data.subset_size)
    # without an adapter the parameter must stay out of the step's cache key
    on = {} if adapter is None else {"adapter": adapter}
    superseded = run.folder.superseded
    return make(answer_subsets, out, superseded, None, model=model, dataset=dataset, spec=spec, run=run, **on)


def answer_transformed(
    run: Run, config: ExperimentConfig, answerer: Answerer, dataset: DatasetRef
) -> dict[str, PredictionsRef]:
    """Answer the test set under each transform of `inference.robustness`; by the label of the answers in the run."""
    found = {}
    for transform in dict.fromkeys(config.inference.robustness):
        transformed = config.model_copy(update={"inference": config.inference.with_transform(transform)})
        of_it = answerer._replace(label=f"{answerer.label}-{transform}")
        label = f"{TRANSFORMED}/{transform}"
        found[label] = answer(run, transformed, of_it, dataset, run.folder.predictions(label))
    return found


def score(
    run: Run,
    config: EvaluationConfig,
    answers: Sequence[PredictionsRef],
    dataset: DatasetRef,
    out: Path,
    context: ReportContext = NO_CONTEXT,
) -> ReportRef:
    """Score a model's answers into the folder `out`.

    The second of `answers`, if given, are the base model's, shown for comparison. The report also shows `context` and
    the run's name, except that of the base model, which runs share. The sets are audited if `config` needs the clean
    part of the test set.
    """
    name = None if answers[0].model == BASE else run.name
    return make(
        evaluate_answers,
        out,
        run.folder.superseded,
        dataset=dataset,
        answers=list(answers),
        audit=_audit(run, config, dataset),
        context=context.model_copy(update={"run": name}),
        config=config,
    )


def _audit(run: Run, config: EvaluationConfig, dataset: DatasetRef) -> FolderRef | None:
    if not (config.only_clean or config.clean_beside):
        return None
    return make(audit_sets, run.folder.audit, run.folder.superseded, dataset=dataset)
