"""All code reads the weight files that transformers would read; ambiguous directories are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.errors import ModelError
from tasks.model.checkpoint_origin import weights_fingerprint
from tasks.model.llava.model_tensors import read_base
from tasks.model.loading import load_base
from tasks.model.tensor_files import read_float
from tasks.preflight.model_checks import look_at_base
from tasks.settings import ModelConfig

HEAD = "lm_head.weight"
SHARD = "model-00001-of-00002.safetensors"
NAMES = {"safetensors": "model", "bin": "pytorch_model"}


def write(tensors: dict[str, Any], file: Path) -> None:
    if file.suffix == ".bin":
        torch.save(tensors, file)
    else:
        save_file(tensors, file, {"format": "pt"})


class Folder:
    """A model directory with weight files that a test chooses; each set has a head filled with one number."""

    def __init__(self, path: Path):
        self.path = path
        self.tensors = load_file(path / "model.safetensors")
        (path / "model.safetensors").unlink()

    def with_head(self, number: float) -> dict[str, Any]:
        return {k: torch.full_like(v, number) if k.endswith(HEAD) else v for k, v in self.tensors.items()}

    def single(self, kind: str, number: float) -> None:
        write(self.with_head(number), self.path / f"{NAMES[kind]}.{kind}")

    def shards(self, kind: str, number: float) -> None:
        tensors = self.with_head(number)
        names, half = sorted(tensors), len(tensors) // 2
        weight_map: dict[str, str] = {}
        for count, part in enumerate((names[:half], names[half:]), 1):
            file = f"{NAMES[kind]}-{count:05d}-of-00002.{kind}"
            write({name: tensors[name] for name in part}, self.path / file)
            weight_map |= dict.fromkeys(part, file)
        self.index(kind, {"metadata": {"total_size": 1}, "weight_map": weight_map})

    def index(self, kind: str, content: Any) -> None:
        (self.path / f"{NAMES[kind]}.{kind}.index.json").write_text(json.dumps(content))


@pytest.fixture
def folder(model_dir: Path) -> Folder:
    return Folder(model_dir)


READ: dict[str, tuple[Callable[[Folder], Any], float]] = {
    "a file": (lambda f: f.single("safetensors", 1), 1),
    "shards": (lambda f: f.shards("safetensors", 1), 1),
    "a torch file": (lambda f: f.single("bin", 1), 1),
    "torch shards": (lambda f: f.shards("bin", 1), 1),
    "a file beside a torch file": (lambda f: (f.single("safetensors", 1), f.single("bin", 2)), 1),
    "a file beside torch shards": (lambda f: (f.single("safetensors", 1), f.shards("bin", 2)), 1),
    "shards beside a torch file": (lambda f: (f.shards("safetensors", 1), f.single("bin", 2)), 1),
    "shards beside torch shards": (lambda f: (f.shards("safetensors", 1), f.shards("bin", 2)), 1),
    "an index of the one file": (
        lambda f: (
            f.single("safetensors", 1),
            f.index("safetensors", {"weight_map": dict.fromkeys(f.tensors, "model.safetensors")}),
        ),
        1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", READ)
def test_all_readers_use_the_weight_files_that_transformers_uses(
    folder: Folder, tiny_model_dir: Path, tmp_path: Path, kind: str
) -> None:
    from transformers import LlavaForConditionalGeneration

    make, number = READ[kind]
    make(folder)
    alone = Folder(copytree(tiny_model_dir, tmp_path / "alone"))
    alone.single("safetensors", number)
    theirs = LlavaForConditionalGeneration.from_pretrained(folder.path).state_dict()[HEAD]
    assert bool((theirs == number).all())
    assert torch.equal(load_base(folder.path, torch.float32).state_dict()[HEAD], theirs)
    assert torch.equal(read_float(read_base(folder.path).tensors[HEAD]), theirs)
    assert weights_fingerprint(folder.path) == weights_fingerprint(alone.path)


def indexed(name: str) -> dict[str, Any]:
    return {"metadata": {}, "weight_map": {"a": name}}


REFUSED: dict[str, tuple[Callable[[Folder], Any], str]] = {
    "a file and an index of others": (
        lambda f: (f.single("safetensors", 1), f.shards("safetensors", 2)), "it is not clear which are the model's",
    ),
    "a torch file and an index of others": (
        lambda f: (f.single("bin", 1), f.shards("bin", 2)), "it is not clear which are the model's",
    ),
    "an index of the file and of others": (
        lambda f: (f.shards("safetensors", 1), f.single("safetensors", 2), f.index("safetensors", {"weight_map": {
            "a": "model.safetensors", "b": SHARD}})), "it is not clear which",
    ),
    "a shard that is missing": (
        lambda f: (f.shards("safetensors", 1), (f.path / "model-00002-of-00002.safetensors").unlink()),
        "names 'model-00002-of-00002.safetensors', which is not in the same folder",
    ),
    "a shard that is missing, beside a torch file": (
        lambda f: (f.shards("safetensors", 1), f.single("bin", 2),
                   (f.path / "model-00001-of-00002.safetensors").unlink()),
        "names 'model-00001-of-00002.safetensors', which is not in the same folder",
    ),
    "a shard that is a dead link": (
        lambda f: (f.path / "x.safetensors").symlink_to("nowhere") or f.index("safetensors", indexed("x.safetensors")),
        "names 'x.safetensors', which is not in the same folder",
    ),
    "shards without their index": (
        lambda f: (f.shards("safetensors", 1), (f.path / "model.safetensors.index.json").unlink()),
        "its shards lack model.safetensors.index.json",
    ),
    "a file above": (lambda f: f.index("safetensors", indexed("../model.safetensors")), "is not in the same folder"),
    "a file below": (lambda f: f.index("bin", indexed("a/pytorch_model.bin")), "is not in the same folder"),
    "an absolute path": (lambda f: f.index("safetensors", indexed("/etc/hostname")), "is not in the same folder"),
    "a number for a file": (lambda f: f.index("safetensors", indexed(7)), "is not in the same folder"),  # type: ignore[arg-type]
    "an index of nothing": (lambda f: f.index("safetensors", {"metadata": {}, "weight_map": {}}), "names no files"),
    "an index without what transformers needs": (
        lambda f: (f.shards("safetensors", 1), f.index("safetensors", {"weight_map": indexed(SHARD)["weight_map"]})),
        "index.json is damaged",
    ),
    "an index that is a list": (lambda f: f.index("safetensors", []), "index.json is damaged"),
    "two tensors for one weight": (
        lambda f: (f.tensors.update({HEAD: torch.ones_like(f.tensors[f"language_model.{HEAD}"])}),
                   write(f.tensors, f.path / "model.safetensors")),
        "lm_head.weight is in .* twice",
    ),
    "no weights": (lambda f: None, "holds no weights"),
    "a quantised file alone": (lambda f: (f.path / "model.gguf").write_bytes(b"GGUF"), "holds no weights"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_ambiguous_or_missing_weight_files_are_refused_by_all_readers(folder: Folder, kind: str) -> None:
    make, sentence = REFUSED[kind]
    make(folder)
    for read in (lambda path: load_base(path, torch.float32), read_base, weights_fingerprint):
        with pytest.raises(ModelError, match=sentence) as refused:
            read(folder.path)
        assert "\n" not in str(refused.value)
    (found,), _ = look_at_base(ModelConfig(base=str(folder.path)), folder.path)
    assert found.level == "stops" and sentence in found.text
