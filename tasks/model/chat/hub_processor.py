"""Load transformers' processor of a model directory, for text and images alone.

Its video processors need torchvision, which rsvlm does without; so do the image processors that are not Pillow's.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import ProcessorMixin

VIDEO = "video_processor"
# SmolVLM's processor wants num2words for videos, and handles images as Idefics3's
SAME_FOR_IMAGES = {"SmolVLMProcessor": "Idefics3Processor"}


def image_only(name: str) -> "type[ProcessorMixin]":
    """The processor class of this name in transformers, without its video processor."""
    import transformers

    parent = getattr(transformers, SAME_FOR_IMAGES.get(name, name))

    def get_attributes(cls: type) -> list[str]:
        return [part for part in super(made, cls).get_attributes() if part != VIDEO]

    # the parent's name: it is written to processor_config.json
    made = type(name, (parent,), {"get_attributes": classmethod(get_attributes), "__module__": __name__})
    return made
