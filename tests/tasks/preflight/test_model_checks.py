"""Preflight looks for bases and towers in the same directories as a run, whatever their names."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from shutil import copytree

import pytest
from support.locations import ORACLE

from tasks.errors import ModelError
from tasks.model.hub import base_folders, find_model
from tasks.model.llava.configured_base import configured_base
from tasks.model.llava.original_layout import find_tower
from tasks.model.loading import load_processor
from tasks.preflight.model_checks import check_base
from tasks.settings import ModelConfig

ORIGINAL, TOWER = ORACLE / "models" / "tiny-llava-v1.5", ORACLE / "models" / "tiny-clip-vit-56"
BASE_NAME, TOWER_NAME = "liuhaotian/llava-v1.5-7b", "openai/clip-vit-large-patch14-336"
BASE, CLIP = (name.partition("/")[2] for name in (BASE_NAME, TOWER_NAME))
with_golden = pytest.mark.skipif(not ORACLE.is_dir(), reason="golden values not present")


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory on a machine without a network, with its hub cache in `hub`."""
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def one_tokenizer() -> Iterator[None]:
    """Have the tokenizer that all bases share loaded once: each time takes longer than all else."""
    from tasks.model.llava.tokenizer import load_original_tokenizer

    load = cache(lambda: load_original_tokenizer(ORIGINAL))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.model.llava.processor.load_original_tokenizer", lambda folder: load())
        yield


def copied(source: Path, place: Path) -> Path:
    return copytree(source, place, copy_function=lambda one, other: Path(other).write_bytes(Path(one).read_bytes()))


def base_at(place: Path, tower: str = TOWER_NAME) -> Path:
    """The original layout as published, with its tower's name on the hub."""
    file = copied(ORIGINAL, place) / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "mm_vision_tower": tower}))
    return place


def hub_folder(name: str, node: Path) -> Path:
    """The folder of a model in the hub's cache."""
    folder = node / "hub" / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    return folder / "snapshots" / "abc"


def linked(node: Path) -> None:
    base_at(node / "disk" / BASE)
    copied(TOWER, node / "disk" / CLIP)
    (node / "base").symlink_to(node / "disk" / BASE)


def put(base: str, tower: str) -> Callable[[Path], None]:
    def make(node: Path) -> None:
        base_at(node / base)
        copied(TOWER, node / tower)

    return make


def in_cache(node: Path) -> None:
    base_at(hub_folder(BASE_NAME, node))
    copied(TOWER, hub_folder(TOWER_NAME, node))


# where base and tower are, and the base's name in the settings
PLACES: dict[str, tuple[Callable[[Path], None], str]] = {
    "beside the base": (put(f"disk/{BASE}", f"disk/{CLIP}"), f"disk/{BASE}"),
    "beside the base, by the whole name": (put(f"disk/{BASE}", f"disk/{TOWER_NAME}"), f"disk/{BASE}"),
    "in the base": (put("disk/base", f"disk/base/{CLIP}"), "disk/base"),
    "beside what a link leads to": (linked, "base"),
    "where the command is given": (put(BASE, CLIP), BASE_NAME),
    "where the command is given, by the whole names": (put(BASE_NAME, TOWER_NAME), BASE_NAME),
    "among the workspace's models": (put(f"workspace/models/{BASE}", f"workspace/models/{CLIP}"), BASE_NAME),
    "in the hub's cache": (in_cache, BASE_NAME),
}
# there a model is only found by its full name
WHOLE = (
    *("beside the base, by the whole name", "where the command is given, by the whole names"),
    "in the hub's cache",
)


@with_golden
@pytest.mark.parametrize(
    ("place", "named"),
    [(place, named) for place in PLACES for named in (TOWER_NAME, None, CLIP) if named != CLIP or place not in WHOLE],
)
def test_base_and_tower_are_found_without_a_network(
    node: Path, one_tokenizer: None, place: str, named: str | None
) -> None:
    make, base = PLACES[place]
    make(node)
    config = ModelConfig(base=base, vision_tower=named)
    found, looked = check_base(config, node / "workspace")
    assert [one.text for one in found if one.level != "ok"] == []
    models = node / "workspace" / "models"
    used = configured_base(find_model(config.base, base_folders(models)), config, models).path
    assert load_processor(used).image_tokens == looked.processor.image_tokens == 16


@with_golden
@pytest.mark.parametrize("named", [TOWER_NAME, None])
def test_missing_tower_is_reported_with_its_expected_path(node: Path, named: str | None) -> None:
    base = base_at(node / "disk" / BASE)
    found, looked = check_base(ModelConfig(base=str(base), vision_tower=named), node)
    (stop,) = [one for one in found if one.level == "stops"]
    assert f"`hf download {TOWER_NAME} --local-dir {base.parent / CLIP}`" in stop.text
    assert looked.processor is not None and len(looked.processor.tokenizer) == 32000
    with pytest.raises(
        ModelError, match=f"put its directory next to the model as {base.parent / CLIP}, or, in an experiment, set"
    ):
        configured_base(base, ModelConfig(vision_tower=named), node / "models")


@with_golden
def test_path_is_not_looked_up_by_its_last_part(node: Path) -> None:
    base = base_at(node / "disk" / BASE)
    copied(TOWER, node / "disk" / CLIP)
    copied(TOWER, node / "other")
    # an existing directory has priority, and a missing one is not looked up by its last part
    assert find_tower(base, {}, str(node / "other")) == node / "other"
    with pytest.raises(ModelError, match="is not on this machine"):
        find_tower(base, {}, f"/nowhere/{CLIP}")
    with pytest.raises(ModelError, match="is not a directory: set"):
        find_model(f"/nowhere/{BASE}", (node / "disk",))
    with pytest.raises(ModelError, match="is not a directory: set"):
        find_model(f"../{BASE}", (node / "disk",))


def test_partly_cached_base_is_a_warning_if_the_hub_is_reachable(
    node: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hub_folder("somebody/tiny", node)
    copytree(tiny_model_dir, folder)
    (folder / "model.safetensors").unlink()
    config = ModelConfig(base="somebody/tiny")
    (found,), _ = check_base(config, node)
    assert found.level == "stops" and "holds no weights" in found.text
    monkeypatch.setattr("tasks.preflight.model_checks.hub_fault", lambda name: None)
    (found,), _ = check_base(config, node)
    assert found.level == "warning" and "only partly in the hub's cache" in found.text


def test_settings_that_do_not_fit_the_base_are_errors(node: Path, tiny_model_dir: Path) -> None:
    for settings, sentence in (
        ({"vision_tower": TOWER_NAME}, "contains its vision tower: leave model.vision_tower empty"),
        ({"mm_vision_select_layer": -1}, "was trained with layer -2: set model.mm_vision_select_layer=-2"),
    ):
        config = ModelConfig.model_validate({"base": str(tiny_model_dir), **settings})
        (found,), _ = check_base(config, node)
        assert found.level == "stops" and sentence in found.text


@pytest.mark.parametrize(
    ("part", "setting"),
    [("text_config", {"model_type": "mistral"}), (None, {"projector_hidden_act": "silu"})],
    ids=["language model", "projector activation"],
)
def test_layout_that_the_base_cannot_be_merged_to_is_an_error(
    node: Path, tiny_model_dir: Path, part: str | None, setting: dict[str, str]
) -> None:
    base = copytree(tiny_model_dir, node / "base")
    config = json.loads((base / "config.json").read_text())
    (config[part] if part else config).update(setting)
    (base / "config.json").write_text(json.dumps(config))
    assert {found.level for found in check_base(ModelConfig(base=str(base)), node, "transformers")[0]} == {"ok"}
    (found,), _ = check_base(ModelConfig(base=str(base)), node, "llava")
    assert found.level == "stops" and "merge it with --format transformers" in found.text
