"""`rsvlm merge` of what cannot be merged ends with 2 and one sentence, and writes nothing."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from support.locations import REPO

from tasks.files import read_json, write_json

PROJECTOR = "non_lora_trainables.bin"


class Code:
    """Unpickled, it would leave a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


def cut_shard(base: Path, adapter: Path) -> None:
    shard = base / "model.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1000])


def other_base(base: Path, adapter: Path) -> None:
    tensors = load_file(base / "model.safetensors")
    kept = {name: value for name, value in tensors.items() if "layers.2" not in name}
    save_file(kept, base / "model.safetensors", {"format": "pt"})


def no_projector(base: Path, adapter: Path) -> None:
    (adapter / PROJECTOR).unlink()


def other_rank(base: Path, adapter: Path) -> None:
    write_json(adapter / "adapter_config.json", {**read_json(adapter / "adapter_config.json"), "r": 64})


def code(base: Path, adapter: Path) -> None:
    (adapter / PROJECTOR).write_bytes(pickle.dumps({"weights": Code(base.parent / "trace")}, protocol=2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_shard, "cut off or damaged"),
        (other_base, "give the base model that it was trained on"),
        (no_projector, "lacks the projector"),
        (other_rank, "not those of rank 64"),
        (code, "holds more than tensors"),
    ],
)
def test_the_command_ends_with_2_and_says_why(
    base: Path, adapter: Path, tmp_path: Path, damage: Callable[[Path, Path], None], said: str
) -> None:
    damage(base, adapter)
    paths = ["--base", str(base), "--adapter", str(adapter), "--out", str(tmp_path / "out")]
    ended = subprocess.run(
        [sys.executable, "-m", "flows.cli", "merge", *paths], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert said in ended.stderr
    assert ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {base.name, adapter.name}
