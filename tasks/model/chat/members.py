"""The families over transformers' AutoModelForImageTextToText and AutoProcessor: a new one is an entry here.

An entry can also come from another package, by an entry point of the group `rsvlm.model_families`.
"""

from tasks.model.chat.family import ChatFamily
from tasks.model.chat.names import idefics3_names, llava_names, qwen2_5_names, qwen3_names

MEMBERS = (
    ChatFamily("Qwen2.5-VL", ("qwen2_5_vl",), qwen2_5_names(), rotates_in_3d=True),
    ChatFamily("Qwen3-VL", ("qwen3_vl",), qwen3_names(), rotates_in_3d=True),
    ChatFamily("LLaVA-NeXT", ("llava_next",), llava_names()),
    # several images would each be one tile, unlike the same image alone
    ChatFamily("LLaVA-OneVision", ("llava_onevision",), llava_names(), several_images=False),
    # its tower has no level `vision_model`
    ChatFamily("InternVL3", ("internvl",), llava_names(level="")),
    ChatFamily("SmolVLM", ("smolvlm", "idefics3"), idefics3_names(), language_model="model.text_model."),
    # one question and its answer; all tokens of a prompt see each other, and positions start at 1
    ChatFamily(
        "PaliGemma", ("paligemma",), llava_names("linear.weight"),
        several_images=False, dialogues=False, causal=False, first_position=1, cuts_images=False,
    ),
)  # fmt: skip
