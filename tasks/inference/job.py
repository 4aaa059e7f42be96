"""A request with what was read for it: records, what is asked of them, and what decides the answers."""

from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

from tasks.files import digest_or_none, sha256_of
from tasks.image_paths import image_file
from tasks.inference.answer_log import read_answers
from tasks.inference.dialogues import Plan, plan_questions, read_records
from tasks.inference.engines.registry import adapter_digest
from tasks.inference.inputs_record import Started
from tasks.inference.request import PredictRequest, Share
from tasks.paths import ANSWERS, STARTED
from tasks.records import Answer

# logs of processes that answer side by side, until they are joined
SHARES = "shares"


@dataclass(frozen=True)
class Work:
    """Everything about a request but its answers."""

    request: PredictRequest
    records: list[dict[str, Any]]
    plan: Plan
    started: Started

    @property
    def log_path(self) -> Path:
        return self.request.out / ANSWERS

    @property
    def fingerprint(self) -> str:
        """What a finished folder is known by."""
        return self.started.fingerprint(self.request.subset_size)

    def share_log(self, share: Share) -> Path:
        """The log of one of several processes."""
        return self.request.out / SHARES / f"{share.number + 1:03d}-of-{share.of:03d}.jsonl"

    def known_answers(self) -> dict[str, Answer]:
        """All answers so far, by whichever process; of damaged lines none."""
        known: dict[str, Answer] = {}
        for path in (self.log_path, *sorted((self.request.out / SHARES).glob("*.jsonl"))):
            for key, answer in read_answers(path).items():
                known.setdefault(key, answer)
        return known


def is_only_begun(out: Path) -> bool:
    """Whether a folder was claimed and holds nothing else: no answer would be mixed with another's."""
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    return STARTED in names and names <= {STARTED, ANSWERS, SHARES}


def drop_shares(out: Path) -> None:
    """Remove the logs of several processes once their answers are joined."""
    rmtree(out / SHARES, ignore_errors=True)


def read_work(request: PredictRequest) -> Work:
    """Read the test set, decide what is asked, and digest all that decides the answers; raises DataError."""
    records = read_records(request.data)
    config = request.config
    plan = plan_questions(records, config.caption_turns)
    # what only changes how soon answers come is left out, and so is the subsets' size: no answer depends on it
    inputs = {
        "model": request.model_sha256,
        "adapter": adapter_digest(request),
        "test set": sha256_of(request.data),
        **{f"inference.{key}": value for key, value in config.content.items()},
    }
    names = sorted({dialogue.image for dialogue in plan.dialogues})
    images = {name: digest_or_none(image_file(request.images, name)) for name in names}
    return Work(request, records, plan, Started(inputs=inputs, images=images))
