"""Create a toy LLaVA: the real architecture (CLIP tower, two-layer GELU projector, LLaMA, select layer -2), tiny.

It answers within seconds on a CPU and goes through the same code as a 7B model, from loading to merging.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.model.llava.original_config import SELECT_LAYER
from tasks.model.llava.prompt import IMAGE_PLACEHOLDER

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import LlavaConfig, PreTrainedTokenizerFast
    from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

TEXT = {"hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 3, "num_attention_heads": 4}
TOWER = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4}
IMAGE_SIZE = 64
PATCH_SIZE = 8
VOCABULARY_SIZE = 1024
MAX_LENGTH = 2048
SPECIAL_TOKENS = ("<unk>", "<s>", "</s>", "<pad>", IMAGE_PLACEHOLDER)


def create_tiny(
    folder: Path,
    texts: Iterable[str],
    seed: int,
    image_size: int = IMAGE_SIZE,
    patch_size: int = PATCH_SIZE,
    scale: float = 1.0,
) -> None:
    """Write an untrained toy LLaVA in transformers' layout: model, tokenizer trained on `texts`, image processor.

    `image_size` is the side of the tower's input in pixels, `patch_size` that of one patch; the seed determines all
    weights. Matrices are multiplied by `scale`: at 1.0 an untrained model gives the same answer to every input, at
    10.0 its answers depend on image and question.
    """
    import torch
    from transformers import LlavaForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(texts)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(_tiny_config(tokenizer, image_size, patch_size))
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.mul_(scale)
    model.generation_config.update(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _image_processor(image_size).save_pretrained(folder)


def _tiny_config(tokenizer: "PreTrainedTokenizerFast", image_size: int, patch_size: int) -> "LlavaConfig":
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig

    vision = CLIPVisionConfig(**TOWER, image_size=image_size, patch_size=patch_size, projection_dim=64)
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        **TEXT,
        max_position_embeddings=MAX_LENGTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE_PLACEHOLDER),
        image_seq_length=(image_size // patch_size) ** 2,
        vision_feature_layer=SELECT_LAYER,
        projector_hidden_act="gelu",
    )


def _tokenizer(texts: Iterable[str]) -> "PreTrainedTokenizerFast":
    from transformers import PreTrainedTokenizerFast

    unknown, start, end, padding, image = SPECIAL_TOKENS
    return PreTrainedTokenizerFast(
        tokenizer_object=byte_level_bpe(texts, SPECIAL_TOKENS),
        unk_token=unknown,
        bos_token=start,
        eos_token=end,
        pad_token=padding,
        extra_special_tokens={"image_token": image},
        model_max_length=MAX_LENGTH,
        clean_up_tokenization_spaces=False,
    )


def byte_level_bpe(texts: Iterable[str], special_tokens: Sequence[str]) -> "Tokenizer":
    """Train byte-level BPE of VOCABULARY_SIZE tokens on `texts`: no text is ever unknown."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _image_processor(image_size: int) -> "LlavaImageProcessorPil":
    from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

    return LlavaImageProcessorPil(
        do_pad=True,
        size={"shortest_edge": image_size},
        crop_size={"height": image_size, "width": image_size},
    )
