"""What travels with every model that rsvlm writes, so that it is fed later as it was in training."""

from math import isqrt
from pathlib import Path

from tasks.model.llava.chat_template import chat_template
from tasks.model.loading import Reader
from tasks.model.portable import make_portable


def save_reader(reader: Reader, folder: Path) -> None:
    """Write tokenizer, image handling and prompt template as transformers reads them.

    The template is chat_template.jinja; how images are padded stands in preprocessor_config.json, and again in
    processor_config.json, which newer versions of transformers prefer.
    """
    from transformers import LlavaProcessor

    size = reader.image_processor.crop_size
    processor = LlavaProcessor(
        image_processor=reader.image_processor,
        tokenizer=reader.tokenizer,
        patch_size=size["height"] // isqrt(reader.image_tokens),
        vision_feature_select_strategy="default" if isqrt(reader.image_tokens) ** 2 == reader.image_tokens else "full",
        num_additional_image_tokens=1,
        chat_template=chat_template(reader.tokenizer),
    )
    processor.save_pretrained(folder)
    reader.image_processor.save_pretrained(folder)
    make_portable(folder)
