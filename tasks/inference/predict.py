"""Answer a test set with one model: resumable, never mixed with other answers, its manifest written last."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import DataError, UserError
from tasks.files import remove_half_written
from tasks.inference.answer_log import AnswerLog, open_log, rewrite_log
from tasks.inference.dialogues import ask_dialogues, compare_alone
from tasks.inference.engines.base import Engine, Refusal, refusals_error
from tasks.inference.engines.cached import CachedEngine
from tasks.inference.engines.loading import open_engine
from tasks.inference.inputs_record import InputsRecord, require_same_engine, require_same_inputs, write_inputs
from tasks.inference.job import Job, is_only_claimed, read_job, remove_share_logs
from tasks.inference.output_files import cut_subsets, join_answers, write_joined, write_probabilities
from tasks.inference.request import PredictRequest, Share
from tasks.inference.usage import write_usage
from tasks.manifests import content_digest, verified_manifest, write_manifest
from tasks.records import Answer, Manifest, PredictionsRef
from tasks.worker_lines import answers_line

# no space, no quota, or a file that may not grow any further
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
PROGRESS_INTERVAL_S = 5.0
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Listener:
    """Callbacks of a run: `on_progress(answered, asked)` after each batch, `log` for other lines."""

    on_progress: OnProgress = lambda answered, asked: None
    log: Callable[[str], None] = lambda line: None


class ProgressLog:
    """Logs a line every few seconds with the rate and the time left; the rate is that of this process alone."""

    def __init__(self, log: Callable[[str], None], clock: Callable[[], float], interval_s: float = PROGRESS_INTERVAL_S):
        self._log, self._clock, self._interval_s = log, clock, interval_s
        self._start: tuple[float, int] | None = None
        self._logged_at = clock()

    def __call__(self, answered: int, asked: int) -> None:
        now = self._clock()
        if self._start is None:
            # earlier answers do not count towards the rate
            self._start, self._logged_at = (now, answered), now
            self._log(answers_line(answered, asked))
        elif now - self._logged_at >= self._interval_s or answered == asked:
            self._logged_at = now
            self._log(self._line(now, answered, asked))

    def _line(self, now: float, answered: int, asked: int) -> str:
        started_at, before = self._start or (now, answered)
        return answers_line(answered, asked, (answered - before) / max(now - started_at, 1e-9))


def predict(request: PredictRequest, listener: Listener = Listener()) -> PredictionsRef:
    """Answer the test set into `request.out` and return a reference to it.

    The same request again does nothing; after a kill only missing answers are asked, and damaged files are written
    again. Raises UserError if the folder holds other answers, and DataError, after all other questions are answered,
    if some cannot be asked.
    """
    job = read_job(request)
    with _report_full_disk(request.out):
        manifest = verified_manifest(request.out, job.fingerprint) or _answer(job, listener)
    return PredictionsRef(
        path=request.out, sha256=content_digest(manifest), model=request.name, answers=len(job.plan.keys)
    )


def claim(request: PredictRequest) -> int:
    """Claim the folder before several processes share the work; returns the number of questions left to ask."""
    job = read_job(request)
    if verified_manifest(request.out, job.fingerprint):
        return 0
    known = job.known_answers()
    recorded = _require_usable(job, known)
    # the processes that answer record the engine: this machine, such as a cluster's head, may have no GPU
    write_inputs(request.out, job.inputs.model_copy(update={"engine": recorded.engine if recorded else None}))
    return len(job.plan.askable_keys - known.keys())


def answer_share(request: PredictRequest, share: Share, listener: Listener = Listener()) -> int:
    """Answer the missing questions of some subsets into a separate log, which `predict` joins.

    Returns the number of answers. Refusals are left to `predict`, which reports them.
    """
    job = read_job(request)
    known = job.known_answers()
    recorded = _require_usable(job, known)
    with _report_full_disk(request.out), open_engine(request, job.inputs.images, listener.log) as engine:
        _record_engine(job, recorded, engine.fingerprint)
        with open_log(job.share_log(share)) as log:
            log.texts.update({key: answer.text for key, answer in known.items()})
            _ask(job, engine, log, listener, share)
            return len(log.answers)


def _record_engine(job: Job, recorded: InputsRecord | None, fingerprint: str) -> None:
    """Record which engine answers; raises OccupiedError if the folder was started with another one."""
    require_same_engine(job.request.out, recorded, fingerprint)
    write_inputs(job.request.out, job.inputs.model_copy(update={"engine": fingerprint}))


def _answer(job: Job, listener: Listener) -> Manifest:
    """Ask the questions without an answer; once all are answered, join them and write the manifest."""
    request, plan = job.request, job.plan
    known = job.known_answers()
    recorded = _require_usable(job, known)
    if not plan.askable_keys - known.keys() and not plan.refusals:
        # nothing to compute: no device, library or cache is needed
        fingerprint = recorded.engine if recorded else None
        write_inputs(request.out, job.inputs.model_copy(update={"engine": fingerprint}))
        with open_log(job.log_path):
            return _finish(job, known, {"engine": fingerprint}, listener)
    with open_engine(request, job.inputs.images, listener.log) as engine:
        engine.prepare()
        _record_engine(job, recorded, engine.fingerprint)
        with open_log(job.log_path) as log:
            log.append(answer for key, answer in known.items() if key not in log.answers)
            refusals = [*plan.refusals, *_ask(job, engine, log, listener, Share())]
            if refusals:
                raise refusals_error(job.records, refusals, len(log.answers))
            compared = _compare(job, engine, log, listener)
            return _finish(job, log.answers, {"engine": engine.fingerprint, **compared}, listener)


@contextmanager
def _report_full_disk(out: Path) -> Iterator[None]:
    """Turn the error of a full disk into a UserError."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise UserError(
            f"{out} cannot be written ({error.strerror}): make room and run the same command again; the answers so "
            "far are kept."
        ) from error


def _require_usable(job: Job, known: dict[str, Answer]) -> InputsRecord | None:
    """Return the inputs that the folder was started with.

    Raises UserError if it holds other answers, or if nothing at all can be asked; nothing is loaded or written yet.
    """
    answered_images = {dialogue.image for dialogue in job.plan.dialogues if known.keys() & dialogue.keys}
    recorded = None
    if known or not is_only_claimed(job.request.out):
        recorded = require_same_inputs(job.request.out, job.inputs, job.fingerprint, answered_images)
    if not job.plan.askable_keys:
        raise refusals_error(job.records, job.plan.refusals, 0)
    if not any(job.inputs.images.values()):
        raise DataError(
            f"None of the {len(job.inputs.images)} images of {job.request.data} is in {job.request.images}, first "
            f"{next(iter(job.inputs.images))}: give the folder that the image paths start from."
        )
    return recorded


def _ask(job: Job, engine: Engine, log: AnswerLog, listener: Listener, share: Share) -> list[Refusal]:
    """Ask the unanswered questions of a share subset by subset, log the answers and return the refusals."""
    plan, config = job.plan, job.request.config
    subsets = [dialogues for _, dialogues in cut_subsets(plan.dialogues, job.request.subset_size)]
    shared = subsets[share.number :: share.of]
    asked = plan.askable_keys & {key for dialogues in shared for dialogue in dialogues for key in dialogue.keys}
    answered = len(asked & log.texts.keys())
    listener.on_progress(answered, len(asked))
    refusals: list[Refusal] = []
    for dialogues in shared:
        for outcomes in ask_dialogues(dialogues, config.history, engine, log.texts):
            answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
            refusals += [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
            log.append(answers)
            answered += len(answers)
            listener.on_progress(answered, len(asked))
    return refusals


def _compare(job: Job, engine: CachedEngine, log: AnswerLog, listener: Listener) -> dict[str, object]:
    """Where an answer may depend on its batch, count how many of a sample are the same when asked alone."""
    sample = job.request.config.equality_sample
    if not engine.asks_again or not sample:
        return {}
    found = compare_alone(job.plan.dialogues, job.request.config.history, engine, log.texts, sample)
    listener.log(f"{found.equal} of {found.asked} answers are the same when asked one prompt at a time")
    return {"asked_alone": found.asked, "equal_when_alone": found.equal}


def _finish(job: Job, known: dict[str, Answer], details: dict[str, object], listener: Listener) -> Manifest:
    """Write the joined answers, and the manifest last."""
    out, plan = job.request.out, job.plan
    answers = [known[key] for key in plan.keys]
    joined = join_answers(plan.dialogues, answers)
    rewrite_log(job.log_path, answers)
    write_joined(out, joined, job.request.subset_size)
    write_probabilities(out, plan.dialogues, known)
    for line in write_usage(out, answers, job.request.config.api):
        listener.log(line)
    remove_share_logs(out)
    # safe: the lock on the log keeps other writers out
    remove_half_written(out)
    return write_manifest(out, job.fingerprint, {"model": job.request.name, "answers": len(plan.keys), **details})
