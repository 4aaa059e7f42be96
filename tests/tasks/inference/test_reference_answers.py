"""Answers of the LLaVA 1.5 reference, token for token, from the reference's own checkpoint."""

import json
from pathlib import Path

import pytest
import torch

from tasks.inference.transformers_engine import TransformersEngine
from tasks.model.loading import LoadedModel
from tasks.records import Question

ORACLE = Path(__file__).resolve().parents[4] / "shared" / "oracle"
RENAMED = {
    "model.mm_projector.0.": "model.multi_modal_projector.linear_1.",
    "model.mm_projector.2.": "model.multi_modal_projector.linear_2.",
    "model.vision_tower.vision_tower.": "model.vision_tower.",
    "lm_head.": "lm_head.",
    "model.": "model.language_model.",
}
TEXT_KEYS = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "max_position_embeddings", "rms_norm_eps", "vocab_size", "bos_token_id", "eos_token_id", "pad_token_id",
    "tie_word_embeddings", "rope_theta",
)  # fmt: skip


def renamed(name: str) -> str:
    old = next(old for old in RENAMED if name.startswith(old))
    return RENAMED[old] + name.removeprefix(old)


@pytest.fixture(scope="module")
def reference_model() -> LoadedModel:
    if not ORACLE.is_dir():
        pytest.skip("golden values not present")
    from safetensors.torch import load_file
    from transformers import CLIPVisionConfig, LlamaConfig, LlamaTokenizer, LlavaConfig, LlavaForConditionalGeneration
    from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

    folder, tower = ORACLE / "models" / "tiny-llava-v1.5", ORACLE / "models" / "tiny-clip-vit-56"
    known = json.loads((folder / "config.json").read_text())
    text = LlamaConfig(**{key: known[key] for key in TEXT_KEYS})
    vision = CLIPVisionConfig.from_pretrained(tower)
    # the image token stands behind the reference's vocabulary
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=text.vocab_size, projector_hidden_act="gelu"
    )
    model = LlavaForConditionalGeneration(config).eval()
    weights: dict[str, torch.Tensor] = {}
    for shard in folder.glob("pytorch_model-*.bin"):
        weights |= {renamed(name): value.float() for name, value in torch.load(shard, weights_only=True).items()}
    weights = {name: value for name, value in weights.items() if "vision_tower" not in name}
    for name, value in load_file(tower / "model.safetensors").items():
        weights[f"model.vision_tower.{name.removeprefix('vision_model.')}"] = value.float()
    model.load_state_dict(weights)
    return LoadedModel(
        tokenizer=LlamaTokenizer.from_pretrained(folder),
        image_processor=LlavaImageProcessorPil.from_pretrained(tower, do_pad=True),
        image_token_id=text.vocab_size,
        image_tokens=(vision.image_size // vision.patch_size) ** 2,
        model=model,
        device=torch.device("cpu"),
    )


@pytest.mark.parametrize("batch_size", [1, 3])
def test_answers_are_those_of_the_reference(reference_model, batch_size):
    cases = [case for case in json.loads((ORACLE / "generate.json").read_text()) if case["conv_mode"] == "vicuna_v1"]
    questions = [
        Question(
            key=f"{number}:0",
            record=number,
            turn=0,
            image=case["image"],
            turns=(("human", f"<image>\n{case['question']}"),),
        )
        for number, case in enumerate(cases)
    ]
    # the reference's ids begin with <s>, which is not generated
    engine = TransformersEngine(
        reference_model, ORACLE / "images" / "src", batch_size, len(cases[0]["base"]["ids"]) - 1
    )
    answers = {answer.key: answer.text for batch in engine.answer(questions) for answer in batch}
    assert answers == {f"{number}:0": case["base"]["text_skip"].strip() for number, case in enumerate(cases)}
