"""Users' own models, with every command that takes one: it works, or one sentence says what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from flows.cli import main
from tasks.errors import ModelError
from tasks.records import DatasetRef, ModelRef
from tasks.settings import ModelConfig, TrainingConfig
from tasks.training.job import TrainingJob
from tasks.training.worker import work

WEIGHTS = "model.safetensors"
Change = Callable[[Path], Any]


def change(file: Path, *inside: str, **values: Any) -> None:
    """Set values in a JSON file, or in an object inside it; None takes one out."""
    content = json.loads(file.read_text())
    part = content
    for name in inside:
        part = part.setdefault(name, {})
    part.update(values)
    for name in [name for name, value in part.items() if value is None and name in values]:
        del part[name]
    file.write_text(json.dumps(content))


def config(*inside: str, **values: Any) -> Change:
    return lambda folder: change(folder / "config.json", *inside, **values)


def tokenizer(**values: Any) -> Change:
    return lambda folder: change(folder / "tokenizer_config.json", **values)


def weights_as(dtype: torch.dtype, part: str) -> Change:
    def make(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        save_file({k: v.to(dtype) if part in k else v for k, v in tensors.items()}, folder / WEIGHTS, {"format": "pt"})

    return make


def lose_half(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    names = {name: f"model-0000{number % 2 + 1}-of-00002.safetensors" for number, name in enumerate(sorted(tensors))}
    first = {name: value for name, value in tensors.items() if names[name].startswith("model-00001")}
    save_file(first, folder / "model-00001-of-00002.safetensors", {"format": "pt"})
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    (folder / WEIGHTS).unlink()


def other_index(folder: Path) -> None:
    save_file(load_file(folder / WEIGHTS), folder / "model-00001-of-00001.safetensors", {"format": "pt"})
    names = dict.fromkeys(load_file(folder / WEIGHTS), "model-00001-of-00001.safetensors")
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def lose_tensor(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    save_file({k: v for k, v in tensors.items() if "linear_2.bias" not in k}, folder / WEIGHTS, {"format": "pt"})


def adapter_alone(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "liuhaotian/x"}')
    save_file({"base_model.model.x.lora_A.weight": torch.ones(1)}, folder / "adapter_model.safetensors")


def siglip(strategy: str) -> Change:
    def make(folder: Path) -> None:
        from transformers import LlavaConfig, LlavaForConditionalGeneration, SiglipVisionConfig

        tower = SiglipVisionConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4,
                                   image_size=64, patch_size=8)  # fmt: skip
        made = LlavaConfig.from_pretrained(folder)
        made.vision_config, made.vision_feature_select_strategy = tower, strategy
        LlavaForConditionalGeneration(made).save_pretrained(folder)

    return make


def pad_beyond(folder: Path) -> None:
    from transformers import AutoTokenizer

    made = AutoTokenizer.from_pretrained(folder)
    made.add_special_tokens({"pad_token": "<filler>"})
    made.save_pretrained(folder)


QUANTISED = "holds quantised weights"
# what is brought, and the sentence of every command that would load it
REFUSED: dict[str, tuple[Change, str]] = {
    "bitsandbytes in 4 bit": (
        config("quantization_config", quant_method="bitsandbytes", load_in_4bit=True), f"{QUANTISED} .bitsandbytes.",
    ),
    "bitsandbytes in 8 bit, as once": (config("quantization_config", load_in_8bit=True), f"{QUANTISED} .bitsandbytes."),
    "GPTQ": (config("quantization_config", quant_method="gptq", bits=4), f"{QUANTISED} .gptq."),
    "AWQ in the language model": (
        config("text_config", "quantization_config", quant_method="awq"), f"{QUANTISED} .awq.",
    ),
    "GPTQ from before config.json": (lambda f: (f / "quantize_config.json").write_text("{}"), f"{QUANTISED} .GPTQ."),
    "bytes for weights": (weights_as(torch.uint8, "q_proj"), "q_proj.* (is uint8|is of dtype U8)"),
    "eight bits a number": (weights_as(torch.float8_e4m3fn, "up_proj"), "up_proj.* (is float8|is of dtype F8_E4M3)"),
    "double precision": (weights_as(torch.float64, "linear_1"), "linear_1.* (float64|dtype F64).* save the model"),
    "a shard that is missing": (lose_half, "model-00002-of-00002.safetensors', which is not in the same folder"),
    "two sets of weights": (other_index, "it is not clear which are the model's weights"),
    "an adapter beside a model": (lambda f: (f / "adapter_config.json").write_text("{}"), "holds an adapter"),
    "an adapter alone": (adapter_alone, "holds an adapter"),
}  # fmt: skip
# what merging would copy as it is, and training and answering could not use
UNUSABLE: dict[str, tuple[Change, str]] = {
    "a tensor that is missing": (lose_tensor, "lacks model.multi_modal_projector.linear_2.bias"),
    "SigLIP, all features": (siglip("full"), "64 features of an image and LLaVA 1.5 takes 65.* class token"),
    "SigLIP, without the first": (siglip("default"), "63 features of an image and LLaVA 1.5 takes 64.* class token"),
    "a pad token beyond the embedding": (config("text_config", pad_token_id=4000), "pad_token_id .* is 4000, outside"),
    "an image token beyond it": (config(image_token_index=4000, image_token_id=4000), "image_token_index .* is 4000"),
    "an image token below it": (config(image_token_index=-200, image_token_id=-200), "image_token_index .* is -200"),
    "a tokenizer that pads beyond it": (pad_beyond, "pads with <filler>, which is .* and beyond the model's"),
    "a tokenizer without an end": (tokenizer(eos_token=None), "has no token for the end"),
    "an invalid dtype": (config(dtype="auto"), "The configuration of .* cannot be read .*'auto'"),
    "pixels that are NaN": (
        lambda f: change(f / "preprocessor_config.json", image_std=[0, 0, 0]),
        "image handling .* image_std may hold a zero",
    ),
    "features of two layers": (
        config(vision_feature_layer=[-2, -3]),
        "linear_1.* shape|with several layers of its vision tower",
    ),
    "a language model that nobody knows": (config("text_config", model_type="nonsense"), "Unrecognized model type"),
}
USED: dict[str, Change] = {
    "no bos": tokenizer(bos_token=None),
    "no pad and no unk": tokenizer(pad_token=None, unk_token=None),
    "no bos, pad or unk": tokenizer(bos_token=None, pad_token=None, unk_token=None),
    "all features of CLIP": config(vision_feature_select_strategy="full"),
    "a pad token that counts from the end": config("text_config", pad_token_id=-1),
    "an index of the one file": lambda f: (f / f"{WEIGHTS}.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": dict.fromkeys(load_file(f / WEIGHTS), WEIGHTS)})
    ),
    "settings of no quantisation": config(quantization_config={}),
    "weights in float16": weights_as(torch.float16, ""),
}


class World:
    """A model that may be changed, records and an adapter of the unchanged model."""

    def __init__(self, root: Path, pair: tuple[Path, Path]) -> None:
        self.root = root
        self.model = copytree(pair[0], root / "model")
        self.adapter = copytree(pair[1], root / "adapter")
        images = root / "data" / "imagenes" / "NWPU"
        images.mkdir(parents=True)
        made = []
        for number in range(12):
            Image.new("RGB", (20, 20), (20 * number, 0, 0)).save(images / f"{number}.png")
            turns = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": f"{number} planes"}]
            made.append({"id": f"NWPU_{number}", "image": f"NWPU/{number}.png", "conversations": turns})
        (root / "data" / "dataset.json").write_text(json.dumps(made))

    def command(self, name: str) -> list[str]:
        data = ["--data", self.root / "data" / "dataset.json", "--images", self.root / "data" / "imagenes"]
        arguments: dict[str, list[Any]] = {
            "predict": ["--model", self.model, *data, "--out", self.root / "out", "--max-new-tokens", "2"],
            "merge": ["--base", self.model, "--adapter", self.adapter, "--out", self.root / "out"],
            "inspect": ["--model", self.model, *data],
            "preflight": [self._experiment(), "--workspace", self.root / "workspace"],
        }
        return [name, *map(str, arguments[name])]

    def _experiment(self) -> Path:
        file = self.root / "experiment.yaml"
        training = {"use_cpu": True, "bf16": False, "tf32": False}
        settings = {"data": {"root": str(self.root / "data"), "sources": ["NWPU"]}, "model": {"base": str(self.model)},
                    "training": training}  # fmt: skip
        file.write_text(json.dumps(settings))
        return file

    def train(self) -> Any:
        """The training process's own function: it makes one step."""
        sets = self.root / "sets"
        sets.mkdir()
        records = (self.root / "data" / "dataset.json").read_text()
        for name in ("data_train", "data_val"):
            (sets / f"{name}.json").write_text(records)
        order = TrainingJob(
            run="test",
            base=ModelRef(path=self.model, sha256="base"),
            dataset=DatasetRef(path=sets, sha256="sets", images=self.root / "data" / "imagenes", images_sha256="images",
                               records={"train": 12}),
            model=ModelConfig(),
            training=TrainingConfig(lora_r=4, lora_alpha=8, max_steps=1, logging_steps=1, learning_rate=1e-2,
                                    warmup_ratio=0, bf16=False, tf32=False, use_cpu=True, save_total_limit=None,
                                    gradient_checkpointing=False, dataloader_num_workers=0),
            out=self.root / "run",
        )  # fmt: skip
        return work(order.model_dump(mode="json"))


@pytest.fixture
def world(tmp_path: Path, tuned_pair: tuple[Path, Path]) -> World:
    return World(tmp_path, tuned_pair)


def require_refused(world: World, name: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(world.command(name)) == 2
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "Traceback" not in said
    with pytest.raises(ModelError, match=sentence):
        raise ModelError(lines[0])
    assert not (world.root / "out").exists()


@pytest.mark.parametrize("kind", [*REFUSED, *UNUSABLE])
def test_preflight_reports_a_base_that_training_or_answering_refuses(
    world: World, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, sentence = {**REFUSED, **UNUSABLE}[kind]
    make(world.model)
    with pytest.raises(ModelError, match=sentence):
        world.train()
    for name in ("preflight", "predict", *(["merge"] if kind in REFUSED else [])):
        require_refused(world, name, sentence, capsys)


@pytest.mark.parametrize("kind", [*REFUSED, *UNUSABLE])
def test_no_command_ends_in_a_traceback(world: World, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    {**REFUSED, **UNUSABLE}[kind][0](world.model)
    for name in ("inspect", "merge"):
        assert main(world.command(name)) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", USED)
def test_a_base_that_passes_preflight_trains_merges_and_answers(
    world: World, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.merging.verify.ANSWER_TOKENS", 1)
    USED[kind](world.model)
    assert main(world.command("preflight")) == 0, capsys.readouterr()
    assert world.train()["step"] == 1
    world.adapter = world.root / "run" / "final"
    assert main([*world.command("merge"), "--verify"]) == 0, capsys.readouterr()
    rmtree(world.root / "out")
    for name in ("predict", "inspect"):
        assert main(world.command(name)) == 0, capsys.readouterr()
