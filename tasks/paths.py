"""File and folder names of rsvlm, each defined once."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MANIFEST = "MANIFEST.json"
COMPLETE = "COMPLETE.json"
# run, step and base model of a checkpoint
ORIGIN = "origin.json"
KEY_SUFFIX = ".key"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
NON_LORA_WEIGHTS = "non_lora_trainables.bin"
# files of a checkpoint that only resuming needs; they are not copied with a finished model
RESUME_ONLY = (
    "optimizer.pt",
    "scheduler.pt",
    "rng_state*.pth",
    "training_args.bin",
    "global_step*",
    "latest",
    "zero_to_*.py",
)
MODEL_CARD = "README.md"
TRAINER_STATE = "trainer_state.json"
STARTED = "STARTED.json"
ANSWERS = "answers.jsonl"
FINAL_ANSWERS = "final.json"
# of the answers in final.json, where the engine gives them
PROBABILITIES = "probabilities.json"
# tokens and cost of the answers of a served model
USAGE = "usage.json"
SUBSETS = "subsets"
EXPERIMENT = "experiment.yaml"
FINAL = "final"
# the checkpoint with the best validation score
BEST = "best"
TRAIN_SET = "data_train.json"
VALIDATION_SET = "data_val.json"
TEST_SET = "data_test.json"
SET_FILES = {"train": TRAIN_SET, "val": VALIDATION_SET, "test": TEST_SET}
# the part of the test set that is answered
# metadata of a dataset version, in the format of MLCommons
CROISSANT = "croissant.json"
FILTERED_TEST_SET = "filtered_test.json"
BASE = "base"
AUDIT = "audit.json"
AUDIT_PAGE = "audit.html"
# a report on one model's answers
METRICS = "metrics.json"
PER_ANSWER = "per_answer.jsonl"
SCORES = "scores.jsonl"
# what transforms of the test images change
ROBUSTNESS = "robustness.json"
REPORT_PAGE = "report.html"
# a sweep
SWEEP = "sweep.yaml"
LEADERBOARD = "leaderboard.json"
LEADERBOARD_PAGE = "leaderboard.html"
BEST_PRESET = "best.yaml"
OBJECTIVE = "objective.json"
SWEEP_PROGRESS = "progress.json"
SWEEP_LOG = "log.txt"
# folders of a run; the store has them under the same names
MERGED = "merged"
PREDICTIONS = "predictions"
REPORTS = "reports"
# below predictions and reports: a folder for each transform of the test images
TRANSFORMED = "robustness"
LOGS = "logs"
# the store's folder of a run's checkpoints
CHECKPOINTS = "checkpoints"
CHECKPOINT_PREFIX = "checkpoint-"
_CHECKPOINT = re.compile(rf"{CHECKPOINT_PREFIX}(\d+)(?:-(\d+))?")


def manifest_path_of(path: Path) -> Path:
    """The manifest of a JSON file: `<name>.manifest.json` next to `<name>.json`."""
    return path.with_name(f"{path.stem}.manifest.json")


def checkpoint_name(step: int, number: int = 1) -> str:
    """checkpoint-STEP; in staging and in the store, checkpoint-STEP-NUMBER for a step that was trained again."""
    return f"{CHECKPOINT_PREFIX}{step}" + (f"-{number}" if number > 1 else "")


def parse_checkpoint_name(name: str) -> tuple[int, int] | None:
    """Step and number of a checkpoint's name, or None for any other name."""
    match = _CHECKPOINT.fullmatch(name)
    return (int(match[1]), int(match[2] or 1)) if match else None


def checkpoint_label(name: str) -> str:
    """A checkpoint's name without its prefix; other names are unchanged."""
    return name.removeprefix(CHECKPOINT_PREFIX)


def checkpoint_step(name: str) -> int | None:
    """The step of a name checkpoint-STEP, or None for any other name, also for checkpoint-STEP-NUMBER."""
    match = _CHECKPOINT.fullmatch(name)
    return int(match[1]) if match and match[2] is None else None


def checkpoint_folders(folder: Path) -> list[tuple[int, Path]]:
    """Step and path of everything named checkpoint-STEP in a folder, in order of the steps."""
    named = ((checkpoint_step(path.name), path) for path in folder.glob(f"{CHECKPOINT_PREFIX}*"))
    return sorted((step, path) for step, path in named if step is not None)


def is_below(name: str) -> bool:
    """Whether a relative path stays inside its folder: not absolute, no `..`, valid text."""
    path = PurePosixPath(name)
    is_text = "\0" not in name and name.encode(errors="ignore").decode() == name
    return is_text and bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def notes_folder_of(staging: Path) -> Path:
    """The folder with a note on each checkpoint that was in a staging folder."""
    return staging.with_name("archive")


@dataclass(frozen=True)
class DataFolder:
    """The data folder of one dataset."""

    root: Path

    @property
    def raw(self) -> Path:
        return self.root / "instructions_raw.json"

    @property
    def dataset(self) -> Path:
        return self.root / "dataset.json"

    @property
    def images(self) -> Path:
        return self.root / "imagenes"

    @property
    def sets(self) -> Path:
        return self.root / "sets"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run: WORKSPACE/runs/NAME."""

    root: Path

    @property
    def experiment(self) -> Path:
        return self.root / EXPERIMENT

    @property
    def store_name(self) -> Path:
        """File with the run's name in the store."""
        return self.root / ".store_name"

    def owner_lock(self, machine: int = 0) -> Path:
        """Lock file of the process that owns the run; in a training on several machines, each has its own."""
        return self.root / (f".owner-{machine}.lock" if machine else ".owner.lock")

    def children_lock(self, machine: int = 0) -> Path:
        """Lock file held by the owner and its child processes, until the last of them has ended."""
        return self.root / (f".children-{machine}.lock" if machine else ".children.lock")

    @property
    def log(self) -> Path:
        return self.root / LOGS / "log.txt"

    @property
    def loss_curve(self) -> Path:
        return self.root / LOGS / "loss.svg"

    @property
    def outcome(self) -> Path:
        """How the last work on the run ended."""
        return self.root / LOGS / "outcome.json"

    @property
    def preflight(self) -> Path:
        """Findings of preflight, and the settings that they are about."""
        return self.root / LOGS / "preflight.json"

    @property
    def sets(self) -> Path:
        return self.root / "sets"

    @property
    def validation(self) -> "RunFolder":
        """Sets, predictions and reports with the validation set as the test set."""
        return RunFolder(self.root / "validation")

    @property
    def training(self) -> Path:
        return self.root / "training"

    @property
    def staging(self) -> Path:
        """Hard links to complete checkpoints that wait for upload; moved together with their training."""
        return self.training / "staging"

    @property
    def merged(self) -> Path:
        return self.root / MERGED

    @property
    def all_predictions(self) -> Path:
        return self.root / PREDICTIONS

    def predictions(self, model: str) -> Path:
        return self.all_predictions / model

    @property
    def reports(self) -> Path:
        return self.root / REPORTS

    def report(self, model: str) -> Path:
        return self.reports / model

    @property
    def tokens(self) -> Path:
        """Token counts of the sets with the base model's tokenizer."""
        return self.root / "tokens"

    @property
    def audit(self) -> Path:
        """Test images and texts that are also in the training set."""
        return self.root / "audit"

    @property
    def fetched(self) -> Path:
        """Folders downloaded from the store."""
        return self.root / "fetched"

    @property
    def comparison(self) -> Path:
        return self.reports / "comparison.json"

    @property
    def superseded(self) -> Path:
        """Results of earlier runs of this name with other settings; rsvlm never deletes them."""
        return self.root / "superseded"


@dataclass(frozen=True)
class Workspace:
    """The folder that all runs share."""

    root: Path

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    def run(self, name: str) -> RunFolder:
        return RunFolder(self.runs / name)

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def sample_data(self) -> Path:
        return self.root / "data"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def image_views(self) -> Path:
        """Folders of links to images that data.image_root locates outside the data folder."""
        return self.root / "images"

    def toy_base(self, name: str) -> Path:
        """The toy base model of that name in the settings."""
        return self.models / name.replace("tiny", "toy")
