"""Trained and merged models load the same in transformers 4 and 5, PEFT, vLLM's loader and rsvlm."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from support.locations import ORACLE, SUPPORT

from tasks.files import read_json, write_json
from tasks.merging.merge import merge_checkpoint
from tasks.merging.model_directory import MergeOptions
from tasks.model.encoding import expand_images
from tasks.model.images import pixels_of
from tasks.model.llava.processor import load_image_processor
from tasks.model.llava.tiny import create_tiny
from tasks.model.loading import load_model
from tasks.records import ModelRef
from tasks.training.job import TrainingJob
from tasks.training.worker import work

JobFor = Callable[..., TrainingJob]
READER = SUPPORT / "outside_reader.py"
TEXTS = ("airport harbour forest beach river farmland and sea", "What is the topic of this image?")
SETTINGS: dict[str, Any] = {"max_steps": 2, "learning_rate": 1e-3, "save_strategy": "no"}
FULL = {"lora_enable": False}
# as llava-hf publishes them
HUB_NAMES = (
    ("lm_head.", "language_model.lm_head."),
    ("model.language_model.", "language_model.model."),
    ("model.vision_tower.", "vision_tower.vision_model."),
    ("model.", ""),
)


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, {"format": "pt"})


def change_json(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    settings = read_json(file)
    change(settings)
    write_json(file, settings)


def hub_names(folder: Path) -> None:
    """Rename a model's tensors as in published files."""

    def renamed(name: str) -> str:
        name = name if name.startswith(("model.", "lm_head.")) else f"model.{name}"
        name = name.replace("model.language_model.lm_head.", "lm_head.")
        name = name.replace("model.language_model.model.", "model.language_model.")
        old, new = next(pair for pair in HUB_NAMES if name.startswith(pair[0]))
        return new + name.removeprefix(old)

    change_weights(folder, lambda weights: {renamed(name): value for name, value in weights.items()})


def old_processor(folder: Path) -> None:
    """llava-hf's first format: a processor config without sizes, and CLIP's image processor without padding."""
    write_json(folder / "processor_config.json", {"processor_class": "LlavaProcessor"})
    settings = read_json(folder / "preprocessor_config.json")
    settings = {name: value for name, value in settings.items() if name != "do_pad"}
    write_json(folder / "preprocessor_config.json", {**settings, "image_processor_type": "CLIPImageProcessor"})


def new_processor(folder: Path) -> None:
    """The format of transformers 5: one file for everything."""
    settings = read_json(folder / "preprocessor_config.json")
    write_json(folder / "processor_config.json", {"processor_class": "LlavaProcessor", "image_processor": settings})
    (folder / "preprocessor_config.json").unlink()


def listed_tokens(folder: Path) -> None:
    def change(settings: dict[str, Any]) -> None:
        settings["extra_special_tokens"] = ["<s>", "</s>"]

    change_json(folder / "tokenizer_config.json", change)


def stretched_positions(folder: Path) -> None:
    rope = {"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0}
    change_json(folder / "config.json", lambda config: config["text_config"].update(rope_parameters=rope))


def tied(folder: Path, *parts: str, head: bool = False) -> None:
    """Tie the head to the embedding in some parts of the config, with or without a copy in the file."""

    def change(config: dict[str, Any]) -> None:
        for part in ("text_config", "config"):
            (config if part == "config" else config[part])["tie_word_embeddings"] = part in parts

    def without(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        (name,) = [name for name in weights if name.endswith("lm_head.weight")]
        (embedding,) = [value for key, value in weights.items() if key.endswith("embed_tokens.weight")]
        others = {key: value for key, value in weights.items() if key != name}
        return {**others, name: embedding.clone()} if head else others

    change_json(folder / "config.json", change)
    change_weights(folder, without)


def qwen(folder: Path) -> None:
    """Another language model, whose attention has biases."""
    from transformers import LlavaConfig, LlavaForConditionalGeneration, Qwen2Config

    config = LlavaConfig.from_pretrained(folder)
    keys = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    own = {key: getattr(config.text_config, key) for key in keys}
    config.text_config = Qwen2Config(**own, num_key_value_heads=2, rope_parameters={"rope_theta": 1e6})
    with torch.random.fork_rng():
        torch.manual_seed(5)
        LlavaForConditionalGeneration(config).save_pretrained(folder)


BASES: dict[str, Callable[[Path], Any]] = {
    "names of transformers 5": lambda folder: None,
    "names of the hub": hub_names,
    "processor without patch size": old_processor,
    "one processor file": new_processor,
    "special tokens in a list": listed_tokens,
    "stretched positions": stretched_positions,
    "tied": lambda folder: tied(folder, "text_config"),
    "tied, as the whole says": lambda folder: tied(folder, "config"),
    "tied, head in the file": lambda folder: tied(folder, "text_config", "config", head=True),
    "qwen": qwen,
}


@pytest.fixture(scope="module")
def written(job_for: JobFor, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str | None]]:
    """Model directories: merged from each kind of base, fully tuned and merged, and an adapter on its base."""
    root = tmp_path_factory.mktemp("written")
    jobs: dict[str, dict[str, str | None]] = {}

    def trained(base: Path, **settings: Any) -> Path:
        out = root / f"training-{base.name}-{len(settings)}"
        job = job_for(out, **SETTINGS, **settings).model_copy(update={"base": ModelRef(path=base, sha256="base")})
        work(job.model_dump(mode="json"))
        return out / "final"

    def add(name: str, model: Path, processor: Path | None = None, adapter: Path | None = None) -> None:
        paths = {"model": model, "processor": processor or model, "adapter": adapter}
        jobs[name] = {key: path and str(path) for key, path in paths.items()}

    for kind, change in BASES.items():
        base = root / kind
        create_tiny(base, TEXTS, seed=1, scale=10)
        change(base)
        adapter = trained(base)
        add(f"merged: {kind}", merge_checkpoint(base, adapter, root / f"{kind}-merged").path)
        if kind == "names of the hub":
            add("adapter alone", base, adapter, adapter)
        if kind in ("names of the hub", "stretched positions") or kind.startswith("tied"):
            tuned = trained(base, **FULL)
            add(f"tuned in full: {kind}", tuned)
            add(f"tuned in full and merged: {kind}", merge_checkpoint(base, tuned, root / f"{kind}-full").path)
    plain = root / "names of transformers 5"
    original = merge_checkpoint(
        plain, root / f"training-{plain.name}-0" / "final", root / "llava", MergeOptions(layout="llava")
    )
    add("merged: original layout", merge_checkpoint(original.path, trained(original.path), root / "again").path)
    if ORACLE.is_dir():
        shutil.copytree(ORACLE / "models", root / "golden", copy_function=shutil.copy)
        golden = root / "golden" / "tiny-llava-v1.5"
        adapter = ORACLE / "lora" / "tiny-llava-v1.5-lora"
        add("merged: the reference's", merge_checkpoint(golden, adapter, root / "golden-merged").path)
    return jobs


def read_by(jobs: dict[str, Any], folder: Path, packages: str) -> dict[str, Any]:
    """What a program loads that has these packages first on its path, and then the installed ones."""
    write_json(folder / "jobs.json", jobs)
    environment = {**os.environ, "PYTHONPATH": packages, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(READER), str(folder / "jobs.json"), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: dict(np.load(folder / f"{name}.npz")) for name in jobs}


def read_by_us(job: dict[str, str | None]) -> dict[str, Any]:
    """The same from our own functions."""
    from support.outside_reader import PICTURE, QUESTION, TEXT

    adapter = job["adapter"] and Path(job["adapter"])
    loaded = load_model(Path(str(job["model"])), adapter or None, "float32")
    processor = loaded.processor
    image = processor.prepare(PICTURE)
    ids = expand_images(processor.encode_prompt([("human", f"<image>\n{QUESTION}")]), [image.token_ids])
    with torch.no_grad():
        logits = loaded.model(input_ids=torch.tensor([ids]), **image.tensors).logits[0].numpy()
    pixels = image.tensors["pixel_values"][0].numpy()
    words = processor.tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    return {"ids": np.array(ids), "pixels": pixels, "logits": logits, "words": np.array(words)}


def require_alike(jobs: dict[str, Any], seen: dict[str, Any]) -> None:
    for name, job in jobs.items():
        ours, theirs = read_by_us(job), seen[name]
        for part in ("ids", "words", "pixels"):
            assert np.array_equal(ours[part], theirs[part]), (name, part)
        np.testing.assert_allclose(theirs["logits"], ours["logits"], atol=1e-4, rtol=0, err_msg=name)


@pytest.mark.slow
def test_transformers_4_and_its_peft_load_everything(written: dict[str, Any], older: Path, tmp_path: Path) -> None:
    require_alike(written, read_by(written, tmp_path, str(older)))


@pytest.mark.slow
def test_transformers_5_and_peft_load_everything(written: dict[str, Any], tmp_path: Path) -> None:
    require_alike(written, read_by(written, tmp_path, ""))


@pytest.mark.slow
def test_vllm_finds_each_weight_by_its_name(written: dict[str, Any]) -> None:
    # the parts of vLLM's LlavaForConditionalGeneration, which adds no level to the tower
    parts = ("language_model.model.", "language_model.lm_head.", "multi_modal_projector.", "vision_tower.vision_model.")
    for name, job in written.items():
        if job["adapter"] is None:
            names = [key for file in Path(job["model"]).glob("*.safetensors") for key in load_file(file)]
            assert len(names) > 80, name
            assert [key for key in names if not key.startswith(parts)] == [], name


@pytest.mark.slow
def test_code_of_an_adapter_card_loads_the_projector_and_gives_our_pixels(written: dict[str, Any]) -> None:
    job = written["adapter alone"]
    names = run_card(job["adapter"], {"path/of/the/base": job["model"], "path/of/this/directory": job["adapter"]})
    ours = load_model(Path(job["model"]), Path(job["adapter"]), "float32").model.state_dict()
    theirs = {name.replace(".modules_to_save.default", ""): value for name, value in names["model"].named_parameters()}
    projector = [name for name in ours if "multi_modal_projector" in name and "original_module" not in name]
    assert len(projector) >= 4
    for name in projector:
        assert torch.equal(theirs[name.replace(".modules_to_save.default", "")], ours[name]), name
    require_our_pixels(names["processor"], Path(job["adapter"]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["merged: names of the hub", "tuned in full: names of the hub"])
def test_code_of_a_model_card_loads_it_and_gives_our_pixels(written: dict[str, Any], kind: str) -> None:
    folder = written[kind]["model"]
    names = run_card(folder, {"path/of/this/directory": folder})
    ours = load_model(Path(folder), dtype="float32").model.state_dict()
    theirs = names["model"].state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(value.float(), ours[name]) for name, value in theirs.items())
    require_our_pixels(names["processor"], Path(folder))


def run_card(folder: str, places: dict[str, str]) -> dict[str, Any]:
    """The names defined by the Python code of a card, with its paths filled in."""
    (code,) = re.findall(r"```python\n(.*?)```", (Path(folder) / "README.md").read_text(), re.DOTALL)
    for path, place in places.items():
        assert path in code
        code = code.replace(path, place)
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def require_our_pixels(processor: Any, folder: Path) -> None:
    picture = Image.effect_noise((90, 50), 80).convert("RGB")
    theirs = processor(images=picture, text="<image>", return_tensors="np")["pixel_values"][0]
    assert np.array_equal(theirs, pixels_of(picture, load_image_processor(folder)))
