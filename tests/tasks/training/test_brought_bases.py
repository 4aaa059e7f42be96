"""Bases with the tokenizers of Qwen and LLaMA 3 are trained, merged and answer like any other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.merging.merge import merge_adapter
from tasks.merging.model_directory import MergeOptions
from tasks.model.encoding import expand_images
from tasks.model.loading import load_model, load_processor
from tasks.preflight.model_checks import check_base
from tasks.records import ModelRef
from tasks.settings import ModelConfig
from tasks.training.job import TrainingJob
from tasks.training.worker import work

# how each of them splits text before merging bytes
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# special tokens, their roles in the tokenizer, and the language model
KINDS: dict[str, tuple[tuple[str, ...], dict[str, str], str]] = {
    "Qwen": (("<|endoftext|>", "<|im_end|>"), {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}, "qwen2"),
    "LLaMA 3": (
        ("<|begin_of_text|>", "<|end_of_text|>"),
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"},
        "llama",
    ),
    "an end alone": (("<|end|>",), {"eos_token": "<|end|>"}, "llama"),
    "an end and unk": (("<unk>", "</s>"), {"eos_token": "</s>", "unk_token": "<unk>"}, "mistral"),
}
Order = Callable[..., TrainingJob]


def make_tokenizer(texts: tuple[str, ...], special: tuple[str, ...], parts: dict[str, str]) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=[*special, "<image>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, **parts)


def make_base(folder: Path, tiny: Path, kind: str) -> Path:
    """A toy model with the language model and tokenizer of `kind`, and the tower of `tiny`."""
    from transformers import AutoConfig, LlavaConfig, LlavaForConditionalGeneration

    special, parts, model_type = KINDS[kind]
    tokenizer = make_tokenizer(("What is the topic of this image?", "an airport with two planes"), special, parts)
    known = LlavaConfig.from_pretrained(tiny)
    text = AutoConfig.for_model(
        model_type, vocab_size=len(tokenizer), hidden_size=128, intermediate_size=352, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=known.vision_config,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=64,
    )
    with torch.random.fork_rng():
        torch.manual_seed(28)
        LlavaForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_bytes((tiny / "preprocessor_config.json").read_bytes())
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_base_of_another_family_is_trained_merged_and_answers(
    tiny_model_dir: Path, job_for: Order, tmp_path: Path, kind: str
) -> None:
    base = make_base(tmp_path / "base", tiny_model_dir, kind)
    found, _ = check_base(ModelConfig(base=str(base)), tmp_path)
    assert {one.level for one in found} == {"ok"}
    job = job_for(tmp_path / "run", eval_strategy="epoch", eval_answers=2)
    work(job.model_copy(update={"base": ModelRef(path=base, sha256=kind)}).model_dump(mode="json"))
    merged = merge_adapter(base, tmp_path / "run" / "final", tmp_path / "merged", MergeOptions(verify=True)).path
    processor = load_processor(merged)
    image = processor.blank_image()
    prompt = expand_images(processor.encode_prompt([("human", "<image>\nA?")]), [image.token_ids])
    answers = []
    for loaded in (load_model(merged, dtype="float32"), load_model(base, tmp_path / "run" / "final", "float32")):
        answers.append(loaded.model(input_ids=torch.tensor([prompt]), **image.tensors).logits)
    torch.testing.assert_close(*answers, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_prompt_template_gives_the_tokens_of_training(tiny_model_dir: Path, tmp_path: Path, kind: str) -> None:
    from transformers import AutoTokenizer

    processor = load_processor(make_base(tmp_path / "base", tiny_model_dir, kind))
    processor.save(tmp_path / "saved")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "saved")
    turns = [("human", "<image>\nWhat is it?"), ("gpt", "A sea."), ("human", "Two?"), ("gpt", "No.")]
    messages = [{"role": "user" if who == "human" else "assistant", "content": text} for who, text in turns]
    ids = processor.encode_conversation(turns).input_ids
    if processor.tokenizer.bos_token_id is not None:
        assert ids[0] == processor.tokenizer.bos_token_id
    found = theirs.apply_chat_template(messages, tokenize=True, return_dict=False)
    assert found == expand_images(ids, [[processor.image_token_id]])
