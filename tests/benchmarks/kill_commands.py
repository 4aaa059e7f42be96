"""The commands that are killed: what each is given, what it is asked to make, and where that is found again."""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from deployments.configuration import load_config
from tasks.data.preparing import prepare_dataset, raw_data
from tasks.data.synthetic.dataset import draw_sample
from tasks.files import sha256_of
from tasks.inference.predict import predict
from tasks.inference.request import PredictRequest
from tasks.manifests import verified_manifest
from tasks.model.llava.tiny import create_tiny
from tasks.paths import COMPLETE, MANIFEST
from tasks.settings import ExperimentConfig, InferenceConfig
from tasks.storage.checkpoints.listing import verify_checkpoints
from tasks.storage.checkpoints.paths import archive_checkpoint
from tasks.storage.checkpoints.staging import has_all_files, stage_checkpoint
from tasks.storage.object_store import open_store
from tasks.storage.runs import open_run
from tasks.training.saved_checkpoints import mark_complete

KIB = 1 << 10
NAME, BUCKET = "killed", "kills"
TEXTS = ("What is the topic of this image?", "an airport with two planes on a runway", "Is it rural or urban?")
SMALL = (
    *("data.sources=[LR]", "data.sample.scenes=40", "data.sample.image_size=48", "data.train=0.5", "data.test=0.5"),
    *("training.max_steps=2", "training.save_steps=1", "training.logging_steps=1", "training.lora_r=4"),
    *("training.lora_alpha=8", "training.per_device_train_batch_size=4"),
    *("inference.max_new_tokens=2", "evaluation.gallery=2"),
)
Held = dict[str, str]


@dataclass(frozen=True)
class Bucket:
    """A bucket of an S3 server, emptied for each start from nothing."""

    address: str

    @property
    def uri(self) -> str:
        return f"s3://{BUCKET}"

    @property
    def client(self) -> Any:
        return boto3.Session().client("s3", endpoint_url=self.address)

    def empty(self) -> None:
        client = self.client
        if BUCKET not in [each["Name"] for each in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=BUCKET)
        for key in self._keys(client):
            client.delete_object(Bucket=BUCKET, Key=key)
        for upload in self._uploads(client):
            client.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])

    def held(self) -> Held:
        """SHA-256 of all objects, and the uploads that nobody finished."""
        client = self.client
        bodies = {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in self._keys(client)}
        found = {f"store/{key}": hashlib.sha256(body).hexdigest() for key, body in bodies.items()}
        return found | {f"store/.upload {each['Key']}": each["UploadId"] for each in self._uploads(client)}

    def _keys(self, client: Any) -> list[str]:
        return [each["Key"] for each in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def _uploads(self, client: Any) -> list[Any]:
        return list(client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []))


@dataclass(frozen=True)
class Killed:
    """A command that works in the folder `world`, which `fill` makes as it is before the first start.

    `store` is where it keeps checkpoints, if anywhere. Of the files in `growing` each line counts for itself.
    `passing` are names of what comes and goes, and `changing` of what two undisturbed runs make differently.
    """

    name: str
    command: tuple[str, ...]
    world: Path
    fill: Callable[[], None]
    bucket: Bucket | None = None
    store: str | None = None
    growing: tuple[str, ...] = ()
    passing: tuple[str, ...] = ()
    changing: tuple[str, ...] = ()
    home: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        home = {"PREFECT_HOME": str(self.home)} if self.home else {}
        return {**inherited, **home, "OMP_NUM_THREADS": "1"}

    def renew(self) -> None:
        """Put the world back to what it is before the first start."""
        shutil.rmtree(self.world, ignore_errors=True)
        self.world.mkdir()
        if self.bucket:
            self.bucket.empty()
        if self.home:
            # what other runs have made of the same content would be taken from there
            shutil.rmtree(self.home / "storage", ignore_errors=True)
        self.fill()

    def held(self) -> Held:
        """SHA-256 of all files by their names, and of each line of those that grow."""
        found: Held = {}
        for path in sorted(self.world.rglob("*")):
            name = path.relative_to(self.world).as_posix()
            if path.is_file() and path.name in self.growing:
                lines = path.read_bytes().split(b"\n")[:-1]
                found |= {f"{name}: {digest}": digest for digest in map(_digest, lines)}
            elif path.is_file():
                found[name] = sha256_of(path)
        return found | (self.bucket.held() if self.bucket else {})

    def damaged(self) -> list[str]:
        """Folders that look complete and are not; every byte is read."""
        found = [
            str(path.parent)
            for marker, is_whole in ((MANIFEST, verified_manifest), (COMPLETE, has_all_files))
            for path in self.world.rglob(marker)
            if is_marker(path.relative_to(self.world).as_posix()) and not is_whole(path.parent)
        ]
        if self.store and (self.bucket or Path(self.store.removeprefix("file://")).is_dir()):
            stored = verify_checkpoints(open_store(self.store, self.bucket.address if self.bucket else None))
            found += [each.uri for each in stored if not each.whole]
        return found


def is_hidden(name: str) -> bool:
    """Whether a name says that it is half-made: a dot in front, of a file or of a folder that it is in."""
    return any(part.startswith(".") for part in name.split("/"))


def is_marker(name: str) -> bool:
    """Whether a file says that the folder around it is complete; in a store only a manifest does."""
    last = name.rpartition("/")[2]
    return not is_hidden(name) and (last == MANIFEST or (last == COMPLETE and not name.startswith("store/")))


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def cli(*words: object) -> tuple[str, ...]:
    """An `rsvlm` command of this tree."""
    return (sys.executable, "-m", "flows.cli", *map(str, words))


def archive(folder: Path, bucket: Bucket | None) -> Killed:
    """Three checkpoints of a run: one only in staging, one there and with the trainer, one only with the trainer."""
    world, template = folder / "world", folder / "template"
    store = bucket.uri if bucket else (world / "store").as_uri()
    settings = {"uri": store, "endpoint_url": bucket.address if bucket else None, "part_mib": 5}
    run = open_run(ExperimentConfig.model_validate({"store": settings}), NAME, template)
    for step in (1, 2, 3):
        checkpoint = write_checkpoint(run.folder.training / f"checkpoint-{step}", step)
        if step < 3:
            stage_checkpoint(checkpoint, run.folder.staging)
    # as the trainer does when it keeps two
    shutil.rmtree(run.folder.training / "checkpoint-1")

    def fill() -> None:
        shutil.copytree(template, world, dirs_exist_ok=True)

    # what the trainer writes while it waits in staging is a copy of what goes to the store
    passing = ("*/staging/*",)
    command = cli("checkpoints", "archive", world / "runs" / NAME)
    return Killed("archive", command, world, fill, bucket, store, passing=passing)


def write_checkpoint(checkpoint: Path, step: int) -> Path:
    """A complete checkpoint with some large files; one of them is the same in all."""
    checkpoint.mkdir(parents=True)
    for name, size, seed in (("adapter_model.safetensors", 12 * 1024, step), ("optimizer.pt", 6 * 1024, -step)):
        (checkpoint / name).write_bytes(hashlib.shake_256(b"%d" % seed).digest(size * KIB))
    (checkpoint / "tokenizer.json").write_bytes(bytes(200 * KIB))
    for number in range(6):
        (checkpoint / f"rng_state_{number}.pth").write_bytes(b"%d of %d" % (number, step))
    mark_complete(checkpoint, step, "kills")
    return checkpoint


def pull(folder: Path, bucket: Bucket | None) -> Killed:
    """The newest of two checkpoints of a store."""
    world, shown = folder / "world", folder / "shown"
    store = bucket.uri if bucket else (folder / "store").as_uri()
    address = bucket.address if bucket else None
    for step in (1, 2):
        write_checkpoint(shown / f"checkpoint-{step}", step)

    def fill() -> None:
        for step in (1, 2):
            archive_checkpoint(shown / f"checkpoint-{step}", open_store(store, address), NAME, step)

    endpoint = ("--endpoint-url", address) if address else ()
    command = cli("checkpoints", "pull", f"{store}/{NAME}", world / "out", *endpoint)
    return Killed("pull", command, world, fill, bucket, store)


def merge(folder: Path, _bucket: Bucket | None) -> Killed:
    """A toy model and an adapter of it."""
    create_tiny(folder / "base", TEXTS, seed=28, scale=10)
    make_adapter(folder / "base", folder / "checkpoint-300")
    command = cli(
        "merge", "--base", folder / "base", "--adapter", folder / "checkpoint-300", "--out", folder / "world" / "out"
    )
    return Killed("merge", command, folder / "world", lambda: None)


def make_adapter(base: Path, adapter: Path) -> None:
    """LoRA matrices and a projector that look trained."""
    import torch
    from peft import LoraConfig, get_peft_model

    from tasks.model.loading import load_base

    torch.manual_seed(28)
    config = LoraConfig(r=4, target_modules=r".*language_model.*\.q_proj", init_lora_weights=False)
    tuned = get_peft_model(load_base(base, torch.float32), config)
    projector = {name: torch.randn_like(value) for name, value in tuned.state_dict().items() if "projector" in name}
    tuned.save_pretrained(adapter)
    torch.save(projector, adapter / "non_lora_trainables.bin")


def predict_with_toy(folder: Path, _bucket: Bucket | None) -> Killed:
    """A toy model and the test set of a small sample."""
    create_tiny(folder / "base", TEXTS, seed=28, scale=10)
    sets, images = prepare_sample(folder)
    command = cli(
        *("predict", "--model", folder / "base", "--data", sets / "filtered_test.json", "--images", images),
        *("--out", folder / "world" / "out", "--subset-size", 5, "--max-new-tokens", 4, "--batch-size", 4),
    )
    return Killed("predict", command, folder / "world", lambda: None, growing=("answers.jsonl",))


def prepare_sample(folder: Path) -> tuple[Path, Path]:
    """A small sample of all sources in its sets: the folder of the sets, and that of the images."""
    values = {"sample": {"scenes": 60, "image_size": 48}, "train": 0.5, "test": 0.5}
    config = ExperimentConfig.model_validate({"data": values}).data
    draw_sample(folder / "data", config.sample)
    data = raw_data(folder / "data", config)
    dataset = prepare_dataset(data.raw, data.images, config, folder / "sets")
    return dataset.path, dataset.images


def evaluate(folder: Path, _bucket: Bucket | None) -> Killed:
    """Answers of no model to the test set of a small sample, captions among them."""
    sets, images = prepare_sample(folder)
    (folder / "none").mkdir()
    (folder / "none" / "config.json").write_text("{}")
    request = PredictRequest(
        model=folder / "none", model_sha256="0", data=sets / "filtered_test.json", images=images,
        out=folder / "answers", name="none", config=InferenceConfig.model_validate({"engine": "echo"}), subset_size=150,
    )  # fmt: skip
    predict(request)
    command = cli(
        *("evaluate", "--data", sets / "filtered_test.json", "--predictions", folder / "answers" / "final.json"),
        *("--train", sets / "data_train.json", "--images", images, "--out", folder / "world" / "out"),
    )
    return Killed("evaluate", command, folder / "world", lambda: None)


def run(folder: Path, _bucket: Bucket | None) -> Killed:
    """The smallest experiment, on Prefect's embedded server."""
    create_tiny(folder / "tiny", TEXTS, seed=28)
    experiment = folder / "small.yaml"
    experiment.write_text(load_config("demo", [*SMALL, f"model.base={folder / 'tiny'}"]).as_yaml(), encoding="utf-8")
    world = folder / "world"
    command = cli("run", experiment, "--name", NAME, "--workspace", world)
    return Killed(
        "run", command, world, lambda: None, store=(world / "store").as_uri(), home=folder / "home",
        passing=("*/staging/*", "*/training/checkpoint-*"), growing=("answers.jsonl",),
        # a marker holds the size of trainer_state.json, and that the seconds of each step
        changing=("*/logs/*", "*/checkpoint-*/COMPLETE.json"),
    )  # fmt: skip


COMMANDS: dict[str, Callable[[Path, Bucket | None], Killed]] = {
    "archive": archive,
    "archive to S3": archive,
    "pull": pull,
    "pull from S3": pull,
    "merge": merge,
    "predict": predict_with_toy,
    "evaluate": evaluate,
    "run": run,
}
