"""Answer a test set with one model: resumable, never mixed with other answers, finished by its manifest."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tasks.errors import DataError
from tasks.files import sha256_of
from tasks.inference.answer_log import AnswerLog, opened_log, read_answers, rewrite_log
from tasks.inference.asking import ask_dialogues
from tasks.inference.echo_engine import EchoEngine
from tasks.inference.engine import Engine, Refusal
from tasks.inference.joining import cut_subsets, join_answers, write_joined
from tasks.inference.questions import Plan, plan_questions, read_records
from tasks.inference.refusals import refusals_error
from tasks.inference.started import Started, require_same_engine, require_same_start, write_started
from tasks.paths import ANSWERS
from tasks.records import Answer, Manifest, PredictionsRef, Value
from tasks.settings import InferenceConfig
from tasks.storage.manifests import content_digest, folder_digest, whole_manifest, write_manifest

OnProgress = Callable[[int, int], None]


class PredictRequest(Value):
    """Everything that answering a test set needs; `name` is how reports call the model."""

    model: Path
    model_sha256: str
    adapter: Path | None = None
    data: Path
    images: Path
    out: Path
    name: str
    config: InferenceConfig
    engine: Literal["transformers", "echo"] = "transformers"


@dataclass(frozen=True)
class _Work:
    """A request with what was read for it."""

    request: PredictRequest
    records: list[dict[str, Any]]
    plan: Plan
    started: Started

    @property
    def log_path(self) -> Path:
        return self.request.out / ANSWERS


def predict(request: PredictRequest, on_progress: OnProgress = lambda answered, asked: None) -> PredictionsRef:
    """Answer the test set into `request.out` and return a reference to it.

    The same request again does nothing; after a kill only what is missing is asked, and what was damaged is
    made again. Raises UserError when the folder holds other answers, and DataError, after all other questions
    have been answered, when some could not be asked.
    """
    work = _read_work(request)
    fingerprint = work.started.fingerprint(request.config.subset_size)
    manifest = whole_manifest(request.out, fingerprint) or _answer(work, fingerprint, on_progress)
    return PredictionsRef(
        path=request.out, sha256=content_digest(manifest), model=request.name, answers=len(work.plan.keys)
    )


def _read_work(request: PredictRequest) -> _Work:
    records = read_records(request.data)
    config = request.config
    plan = plan_questions(records, config.caption_turns)
    # batch and subset size are left out: no answer depends on them
    inputs = {
        "model": request.model_sha256,
        "adapter": folder_digest(request.adapter) if request.adapter else None,
        "test set": sha256_of(request.data),
        "engine": request.engine,
        **{f"inference.{key}": getattr(config, key) for key in ("history", "caption_turns", "max_new_tokens", "dtype")},
    }
    names = sorted({dialogue.image for dialogue in plan.dialogues})
    images = {name: _digest_or_none(request.images / name) for name in names}
    return _Work(request, records, plan, Started(inputs=inputs, images=images))


def _digest_or_none(path: Path) -> str | None:
    return sha256_of(path) if path.is_file() else None


def _answer(work: _Work, fingerprint: str, on_progress: OnProgress) -> Manifest:
    """Ask what has no answer yet; when all is answered, join it and mark the folder as finished."""
    request, plan = work.request, work.plan
    answers = read_answers(work.log_path)
    seen = {dialogue.image for dialogue in plan.dialogues if answers.keys() & dialogue.keys}
    before = require_same_start(request.out, work.started, fingerprint, seen)
    _require_something_to_ask(work)
    missing = plan.askable_keys - answers.keys()
    engine = _make_engine(request) if missing else None
    made_by = engine.fingerprint if engine else getattr(before, "engine", None)
    require_same_engine(request.out, before, made_by)
    write_started(request.out, work.started.model_copy(update={"engine": made_by}))
    with opened_log(work.log_path) as log:
        refusals = [*plan.refusals, *(_ask(work, engine, log, on_progress) if engine else ())]
        if refusals:
            raise refusals_error(work.records, refusals, len(log.answers))
        details = {"model": request.name, "answers": len(plan.keys), "engine": made_by}
        return _finish(work, [log.answers[key] for key in plan.keys], fingerprint, details)


def _require_something_to_ask(work: _Work) -> None:
    """Raise DataError when no question can be asked at all, before anything is loaded or written."""
    if not work.plan.askable_keys:
        raise refusals_error(work.records, work.plan.refusals, 0)
    if not any(work.started.images.values()):
        images = work.request.images
        raise DataError(
            f"None of the {len(work.started.images)} images of {work.request.data} stands below {images}, "
            f"first {next(iter(work.started.images))}: give the folder that their paths start from."
        )


def _make_engine(request: PredictRequest) -> Engine:
    config = request.config
    if request.engine == "echo":
        return EchoEngine(request.images, config.batch_size)
    from tasks.inference.transformers_engine import TransformersEngine
    from tasks.model.loading import load_model

    loaded = load_model(request.model, request.adapter, config.dtype)
    return TransformersEngine(loaded, request.images, config.batch_size, config.max_new_tokens)


def _ask(work: _Work, engine: Engine, log: AnswerLog, on_progress: OnProgress) -> list[Refusal]:
    """Ask subset by subset all that has no answer, and return what was refused."""
    plan, config = work.plan, work.request.config
    answered, asked = len(plan.askable_keys & log.answers.keys()), len(plan.askable_keys)
    on_progress(answered, asked)
    refusals: list[Refusal] = []
    for _, dialogues in cut_subsets(plan.dialogues, config.subset_size):
        for outcomes in ask_dialogues(dialogues, config.history, engine, log.texts):
            answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
            refusals += [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
            log.append(answers)
            answered += len(answers)
            on_progress(answered, asked)
    return refusals


def _finish(work: _Work, answers: list[Answer], fingerprint: str, details: dict[str, Any]) -> Manifest:
    """Join the answers and write the manifest last."""
    out = work.request.out
    joined = join_answers(work.records, work.plan.dialogues, answers)
    rewrite_log(work.log_path, answers)
    write_joined(out, joined, work.request.config.subset_size)
    for leftover in out.rglob(".*.part"):
        # half of a file whose writer was killed: this process alone writes here
        leftover.unlink()
    return write_manifest(out, fingerprint, details)
