"""Create a toy Qwen2.5-VL: the real architecture (window attention, merger, M-RoPE, images of any size), tiny.

It shows that all stages work with a model whose number of image tokens depends on the image.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.model.chat.hub_processor import image_only
from tasks.model.llava.tiny import MAX_LENGTH, TEXT, byte_level_bpe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, ProcessorMixin, Qwen2_5_VLConfig

PATCH_SIZE, MERGE_SIZE = 8, 2
TOWER = {"hidden_size": 64, "intermediate_size": 256, "depth": 3, "num_heads": 4}
# side in pixels of a window, in which the tower's first layers attend, and the layer that sees the complete image
WINDOW, FULL_LAYER = 64, 2
# pixels of an image: between 36 and 64 tokens of 16 x 16 pixels
PIXELS = {"shortest_edge": 96**2, "longest_edge": 128**2}
# pairs of features that rotate by time, height and width: half of a head together
ROTATED = [4, 6, 6]
IMAGE, VIDEO, VISION_START, VISION_END = "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"
PADDING, END = "<|endoftext|>", "<|im_end|>"
SPECIAL_TOKENS = (PADDING, "<|im_start|>", END, VISION_START, VISION_END, IMAGE, VIDEO)
# as published with Qwen2.5-VL, without videos and numbers of pictures
TEMPLATE = """\
{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}<|im_end|>
{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' %}\
<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}\
<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def create_tiny_qwen(folder: Path, texts: Iterable[str], seed: int, scale: float = 1.0) -> None:
    """Write an untrained toy Qwen2.5-VL: model, tokenizer trained on `texts`, image processor and chat template.

    The seed determines all weights. Matrices are multiplied by `scale`: at 1.0 an untrained model gives the same answer
    to every input, at 10.0 its answers depend on image and question.
    """
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    processor = _processor(texts)
    tokenizer = processor.tokenizer
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(_tiny_config(tokenizer))
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.mul_(scale)
    model.generation_config.update(
        bos_token_id=tokenizer.pad_token_id,
        eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id],
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _tiny_config(tokenizer: "PreTrainedTokenizerFast") -> "Qwen2_5_VLConfig":
    from transformers import Qwen2_5_VLConfig

    image, video, start, end = tokenizer.convert_tokens_to_ids([IMAGE, VIDEO, VISION_START, VISION_END])
    text = {
        **TEXT,
        "num_key_value_heads": TEXT["num_attention_heads"],
        "vocab_size": len(tokenizer),
        "max_position_embeddings": MAX_LENGTH,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": ROTATED},
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        **TOWER,
        "patch_size": PATCH_SIZE,
        "spatial_merge_size": MERGE_SIZE,
        "out_hidden_size": TEXT["hidden_size"],
        "window_size": WINDOW,
        "fullatt_block_indexes": [FULL_LAYER],
    }
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
        tie_word_embeddings=False,
    )


def _processor(texts: Iterable[str]) -> "ProcessorMixin":
    from transformers import PreTrainedTokenizerFast
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_level_bpe(texts, SPECIAL_TOKENS),
        eos_token=END,
        pad_token=PADDING,
        model_max_length=MAX_LENGTH,
        clean_up_tokenization_spaces=False,
    )
    images = Qwen2VLImageProcessorPil(patch_size=PATCH_SIZE, merge_size=MERGE_SIZE, size=PIXELS)
    return image_only("Qwen2_5_VLProcessor")(images, tokenizer, chat_template=TEMPLATE)
