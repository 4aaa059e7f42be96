"""The preset of the reference run at its real size, on a CPU, with random weights: `make full-size`.

It shows that the stages fit together at this size, what memory they need and how long they take here. It does not show
how fast a GPU is, nor anything of CUDA, NCCL and FlashAttention.
"""

import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from full_size.random_llava import write_llava
from full_size.stages import measured_run
from PIL import Image

from tasks.manifests import read_manifest
from tasks.paths import RunFolder

QUESTIONS = 10
IMAGES = {"train": 3, "val": 1, "test": 2}
THINGS = ("road", "building", "river", "field", "ship", "bridge", "forest", "harbour", "plane", "beach")
# what a CPU with 24 GB needs, the number of steps, and no more samples than they take
CHANGES = (
    "training.use_cpu=true", "training.tf32=false", "training.dataloader_num_workers=0", "training.report_to=[]",
    "training.deepspeed=null", "training.max_steps=2",
    "training.per_device_train_batch_size=1", "training.gradient_accumulation_steps=1",
    "inference.dtype=bfloat16", "inference.max_new_tokens=16", "inference.equality_sample=2",
    "data.sources=[LR]", "data.protocol=own",
)  # fmt: skip
# how far the largest process may be from preflight's estimate
TOLERANCE = 0.15
# the run's folder, the models, and as much again in the store
DISK_BYTES, MEMORY_BYTES = 60e9, 22e9

pytestmark = [pytest.mark.full_size, pytest.mark.timeout(7200)]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The run, and what it wrote; 45 GB that are removed in the end."""
    folder = tmp_path_factory.mktemp("full-size")
    assert shutil.disk_usage(folder).free > DISK_BYTES, "60 GB of disk are needed"
    assert os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") > MEMORY_BYTES, "24 GB of memory are needed"
    try:
        write_data(folder / "data")
        base, tower = write_llava(folder, [turn for record in records() for turn in words(record)])
        given = (*CHANGES, f"data.root={folder / 'data'}", f"model.base={base}", f"model.vision_tower={tower}")
        changes = [part for change in given for part in ("--set", change)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PREFECT_HOME", str(folder / "prefect"))
            patch.delenv("OMP_NUM_THREADS", raising=False)
            workspace = ("--name", "run", "--workspace", str(folder / "workspace"))
            run = measured_run(["run", "llava-1.5-7b-lora", *changes, *workspace])
        print("\n" + run.table())
        yield SimpleNamespace(run=run, folder=RunFolder(folder / "workspace" / "runs" / "run"), base=base)
    finally:
        shutil.rmtree(folder)


def records() -> list[dict]:
    """Ten questions about each of the images."""
    found = []
    for split, count in IMAGES.items():
        for number in range(count):
            turns = []
            for index, thing in enumerate(THINGS[:QUESTIONS]):
                question = f"Is there a {thing} in the image? Answer with one word."
                turns.append({"from": "human", "value": f"<image>\n{question}" if index == 0 else question})
                turns.append({"from": "gpt", "value": ("yes", "no")[(index + number) % 2]})
            name = f"{split}-{number}"
            found.append({"id": name, "image": f"LR/{name}.png", "conversations": turns, "split": split})
    return found


def words(record: dict) -> list[str]:
    return [turn["value"] for turn in record["conversations"]]


def write_data(folder: Path) -> None:
    """A data folder with images of random colours."""
    (folder / "imagenes" / "LR").mkdir(parents=True)
    (folder / "dataset.json").write_text(json.dumps(records()), encoding="utf-8")
    for index, record in enumerate(records()):
        colours = bytes((7 * index + 31 * place * (index + 1)) % 256 for place in range(8 * 8 * 3))
        Image.frombytes("RGB", (8, 8), colours).resize((256, 256)).save(folder / "imagenes" / record["image"])


def test_the_run_completes(measured: SimpleNamespace) -> None:
    assert measured.run.code == 0, measured.run.stderr[-5:]
    assert measured.run.stdout.splitlines()[-1] == str(measured.folder.reports)
    assert (measured.folder.reports / "final" / "report.html").is_file()


def test_the_loss_is_a_number_at_each_step(measured: SimpleNamespace) -> None:
    state = json.loads((measured.folder.training / "final" / "trainer_state.json").read_text(encoding="utf-8"))
    losses = [entry["loss"] for entry in state["log_history"] if "loss" in entry]
    assert len(losses) == 2 and all(map(math.isfinite, losses))


@pytest.mark.parametrize("label", ["base", "final"])
def test_both_models_answer_all_questions(measured: SimpleNamespace, label: str) -> None:
    answers = json.loads((measured.folder.predictions(label) / "final.json").read_text(encoding="utf-8"))
    assert sum(len(words(record)) // 2 for record in answers) == QUESTIONS * IMAGES["test"]


def test_the_merged_model_is_complete(measured: SimpleNamespace) -> None:
    manifest = read_manifest(measured.folder.merged)
    assert manifest is not None
    size = sum(entry["size"] for name, entry in manifest.files.items() if name.endswith(".safetensors"))
    assert 14.1e9 < size < 14.2e9


def test_training_takes_the_memory_that_preflight_says(measured: SimpleNamespace) -> None:
    rows = json.loads(measured.folder.preflight.read_text(encoding="utf-8"))["memory"]
    (total,) = (row["usual"] for row in rows if row["part"] == "total")
    seen = measured.run.stages["training"].process
    print(f"\ntraining: {seen / 1e9:.2f} GB, preflight: {total / 1e9:.2f} GB")
    assert abs(seen - total) <= TOLERANCE * total
