"""Answer a test set with one model: resumable, never mixed with other answers, finished by its manifest."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import DataError, UserError
from tasks.files import remove_half_written
from tasks.inference.answer_log import AnswerLog, opened_log, rewrite_log
from tasks.inference.asking import ask_dialogues
from tasks.inference.comparing import Comparison, compare_alone
from tasks.inference.engines.base import Engine, Refusal
from tasks.inference.engines.cached import LazyEngine
from tasks.inference.engines.refusals import refusals_error
from tasks.inference.engines.registry import made_engine
from tasks.inference.inputs_record import Started, require_same_engine, require_same_start, write_started
from tasks.inference.job import Work, drop_shares, is_only_begun, read_work
from tasks.inference.output_files import cut_subsets, join_answers, write_joined
from tasks.inference.request import PredictRequest, Share
from tasks.manifests import content_digest, verified_manifest, write_manifest
from tasks.records import Answer, Manifest, PredictionsRef

# no room, no quota, a file that may grow no further
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Listener:
    """Who is told how far the answers are, and what else is worth a line."""

    on_progress: OnProgress = lambda answered, asked: None
    say: Callable[[str], None] = lambda line: None


def predict(request: PredictRequest, listener: Listener = Listener()) -> PredictionsRef:
    """Answer the test set into `request.out` and return a reference to it.

    The same request again does nothing; after a kill only what is missing is asked, and what was damaged is
    made again. Raises UserError when the folder holds other answers, and DataError, after all other questions
    have been answered, when some could not be asked.
    """
    work = read_work(request)
    with _full_disk_said(request.out):
        manifest = verified_manifest(request.out, work.fingerprint) or _answer(work, listener)
    return PredictionsRef(
        path=request.out, sha256=content_digest(manifest), model=request.name, answers=len(work.plan.keys)
    )


def claim(request: PredictRequest) -> int:
    """Claim the folder for this request, before several processes share it; the number of questions left to ask."""
    work = read_work(request)
    if verified_manifest(request.out, work.fingerprint):
        return 0
    known = work.known_answers()
    before = _require_ours(work, known)
    # by which engine is for those to say who have it: a cluster's head may have no GPU
    write_started(request.out, work.started.model_copy(update={"engine": before.engine if before else None}))
    return len(work.plan.askable_keys - known.keys())


def answer_share(request: PredictRequest, share: Share, listener: Listener = Listener()) -> int:
    """Answer what is missing of some subsets into a log of their own, which `predict` joins; how many were answered.

    What cannot be asked is left to `predict`, which names it.
    """
    work = read_work(request)
    known = work.known_answers()
    before = _require_ours(work, known)
    with _full_disk_said(request.out), made_engine(request, work.started.images, listener.say) as engine:
        _sign(work, before, engine)
        with opened_log(work.share_log(share)) as log:
            log.texts.update({key: answer.text for key, answer in known.items()})
            _ask(work, engine, log, listener, share)
            return len(log.answers)


def _sign(work: Work, before: Started | None, engine: Engine) -> None:
    """Note by which engine the folder's answers are; raises UserError when it was begun with another."""
    require_same_engine(work.request.out, before, engine.fingerprint)
    write_started(work.request.out, work.started.model_copy(update={"engine": engine.fingerprint}))


def _answer(work: Work, listener: Listener) -> Manifest:
    """Ask what has no answer yet; when all is answered, join it and mark the folder as finished."""
    request, plan = work.request, work.plan
    known = work.known_answers()
    before = _require_ours(work, known)
    if not plan.askable_keys - known.keys() and not plan.refusals:
        # nothing to compute: no device, library or cache has a part in it
        made_by = before.engine if before else None
        write_started(request.out, work.started.model_copy(update={"engine": made_by}))
        with opened_log(work.log_path):
            return _finish(work, known, {"engine": made_by})
    with made_engine(request, work.started.images, listener.say) as engine:
        engine.prepare()
        _sign(work, before, engine)
        with opened_log(work.log_path) as log:
            log.append(answer for key, answer in known.items() if key not in log.answers)
            refusals = [*plan.refusals, *_ask(work, engine, log, listener, Share())]
            if refusals:
                raise refusals_error(work.records, refusals, len(log.answers))
            compared = _compare(work, engine, log, listener)
            return _finish(work, log.answers, {"engine": engine.fingerprint, **compared})


@contextmanager
def _full_disk_said(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"{out} cannot be written ({error.strerror}): make room and run the same command again; what is answered "
            "so far is kept."
        ) from error


def _require_ours(work: Work, known: dict[str, Answer]) -> Started | None:
    """What the folder was started with; raises UserError when it is another's, or when nothing can be asked at all."""
    seen = {dialogue.image for dialogue in work.plan.dialogues if known.keys() & dialogue.keys}
    before = None
    if known or not is_only_begun(work.request.out):
        before = require_same_start(work.request.out, work.started, work.fingerprint, seen)
    # before anything is loaded or written
    if not work.plan.askable_keys:
        raise refusals_error(work.records, work.plan.refusals, 0)
    if not any(work.started.images.values()):
        raise DataError(
            f"None of the {len(work.started.images)} images of {work.request.data} stands below {work.request.images}, "
            f"first {next(iter(work.started.images))}: give the folder that their paths start from."
        )
    return before


def _ask(work: Work, engine: Engine, log: AnswerLog, listener: Listener, share: Share) -> list[Refusal]:
    """Ask subset by subset all of a share that has no answer, and return what was refused."""
    plan, config = work.plan, work.request.config
    subsets = [dialogues for _, dialogues in cut_subsets(plan.dialogues, work.request.subset_size)]
    ours = subsets[share.number :: share.of]
    asked = plan.askable_keys & {key for dialogues in ours for dialogue in dialogues for key in dialogue.keys}
    answered = len(asked & log.texts.keys())
    listener.on_progress(answered, len(asked))
    refusals: list[Refusal] = []
    for dialogues in ours:
        for outcomes in ask_dialogues(dialogues, config.history, engine, log.texts):
            answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
            refusals += [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
            log.append(answers)
            answered += len(answers)
            listener.on_progress(answered, len(asked))
    return refusals


def _compare(work: Work, engine: LazyEngine, log: AnswerLog, listener: Listener) -> dict[str, Any]:
    """Where answers may depend on what was asked beside them: how many of a sample are the same when asked alone."""
    sample = work.request.config.equality_sample
    if engine.is_exact or not engine.is_used or not sample:
        return {}
    found: Comparison = compare_alone(work.plan.dialogues, work.request.config.history, engine, log.texts, sample)
    listener.say(f"{found.equal} of {found.asked} answers are the same when asked one prompt at a time")
    return {"asked_alone": found.asked, "equal_when_alone": found.equal}


def _finish(work: Work, known: dict[str, Answer], details: dict[str, Any]) -> Manifest:
    """Join the answers and write the manifest last."""
    out, plan = work.request.out, work.plan
    answers = [known[key] for key in plan.keys]
    joined = join_answers(work.records, plan.dialogues, answers)
    rewrite_log(work.log_path, answers)
    write_joined(out, joined, work.request.subset_size)
    drop_shares(out)
    # this process alone writes here
    remove_half_written(out)
    return write_manifest(out, work.fingerprint, {"model": work.request.name, "answers": len(plan.keys), **details})
