"""A request together with what is read for it: the records, the planned questions, and what decides the answers."""

from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

from tasks.files import digest_or_none, sha256_of
from tasks.image_paths import image_file
from tasks.inference.answer_log import read_answers
from tasks.inference.dialogues import Plan, plan_questions, read_test_set
from tasks.inference.inputs_record import InputsRecord
from tasks.inference.request import PredictRequest, Share
from tasks.paths import ANSWERS, STARTED
from tasks.records import Answer

# logs of several processes that answer one test set, until their answers are joined
SHARES = "shares"


@dataclass(frozen=True)
class Job:
    """Everything about a request but its answers."""

    request: PredictRequest
    records: list[dict[str, object]]
    plan: Plan
    inputs: InputsRecord

    @property
    def log_path(self) -> Path:
        """The log of all answers."""
        return self.request.out / ANSWERS

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the finished folder."""
        return self.inputs.fingerprint(self.request.subset_size)

    def share_log(self, share: Share) -> Path:
        """The log of one of several processes."""
        return self.request.out / SHARES / f"{share.number + 1:03d}-of-{share.of:03d}.jsonl"

    def known_answers(self) -> dict[str, Answer]:
        """All answers so far by key, from all processes; damaged lines are skipped."""
        known: dict[str, Answer] = {}
        for path in (self.log_path, *sorted((self.request.out / SHARES).glob("*.jsonl"))):
            for key, answer in read_answers(path).items():
                known.setdefault(key, answer)
        return known


def is_only_claimed(out: Path) -> bool:
    """Whether a folder holds nothing but the files of a run without answers: there is nothing to mix with."""
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    return STARTED in names and names <= {STARTED, ANSWERS, SHARES}


def remove_share_logs(out: Path) -> None:
    """Remove the logs of several processes, once their answers are joined."""
    rmtree(out / SHARES, ignore_errors=True)


def read_job(request: PredictRequest) -> Job:
    """Read the test set, plan its questions and digest everything that decides the answers; raises DataError."""
    records = read_test_set(request.data)
    config = request.config
    plan = plan_questions(records, config.caption_turns)
    # settings that only change the speed are left out, and so is the size of subsets: no answer depends on them
    inputs = {
        "model": request.model_sha256,
        "adapter": request.adapter_digest(),
        "test set": sha256_of(request.data),
        **{f"inference.{key}": value for key, value in config.content.items()},
    }
    names = sorted({dialogue.image for dialogue in plan.dialogues})
    images = {name: digest_or_none(image_file(request.images, name)) for name in names}
    return Job(request, records, plan, InputsRecord(inputs=inputs, images=images))
