"""Settings of the base model and of merging."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from tasks.choices import Layout, MergedDtype
from tasks.settings.base import Section

# a model's name on the Hub, or a single word; anything else is a path
MODEL_NAME = re.compile(r"(?!\.)[\w.-]+(/(?!\.)[\w.-]+)?")

# the name of the toy model that rsvlm pre-trains itself
TOY, TOY_QWEN = "tiny", "tiny-qwen"
# models that rsvlm creates and pre-trains itself
TOYS = (TOY, TOY_QWEN)


def without_directories(model: Mapping[str, object]) -> dict[str, object]:
    """The section's plain values, with None in place of paths: the content of a directory identifies it."""
    named = {name: model.get(name) for name in ("base", "vision_tower")}
    paths = [name for name, value in named.items() if value and not MODEL_NAME.fullmatch(str(value))]
    return {**model, **dict.fromkeys(paths)}


class ModelConfig(Section):
    """The base model, with the argument names of LLaVA."""

    base: str = Field(
        TOY,
        description="Directory or Hugging Face Hub name of a model of any family in docs/models.md, e.g. "
        f"liuhaotian/llava-v1.5-7b or Qwen/Qwen2.5-VL-7B-Instruct; {TOY} and {TOY_QWEN}: toy models, a LLaVA and a "
        "Qwen2.5-VL, that rsvlm pre-trains itself.",
    )
    vision_tower: str | None = Field(
        None,
        description="Directory or Hub name of the vision tower, for a model in the original LLaVA layout. Empty: the "
        "tower named in the model's config.",
    )
    version: Literal["v1"] = Field("v1", description="Prompt template of LLaVA 1.5.")
    mm_projector_type: Literal["mlp2x_gelu"] = Field(
        "mlp2x_gelu", description="Projector of LLaVA 1.5, between vision tower and language model."
    )
    mm_vision_select_layer: int = Field(
        -2,
        le=-1,
        ge=-24,
        description="Layer of LLaVA 1.5's vision tower whose features are used; negative: counted from the last.",
    )
    mm_use_im_start_end: Literal[False] = Field(
        False, description="Start and end tokens around the image; LLaVA 1.5 does not use them."
    )
    mm_use_im_patch_token: Literal[False] = Field(False, description="Image patch token; LLaVA 1.5 does not use it.")
    image_aspect_ratio: Literal["pad", "square"] = Field(
        "pad", description="Images of LLaVA 1.5. pad: pad to a square with the mean colour; square: center crop."
    )

    @field_validator("base", "vision_tower")
    @classmethod
    def _is_not_a_url(cls, given: str | None) -> str | None:
        # the URL is not shown: it may contain credentials
        if given and "://" in given:
            raise ValueError("this is a URL: give a directory or a Hub name")
        return given

    @property
    def base_name(self) -> str:
        """The base model's name: on the Hub, of a toy, or of its directory."""
        return self.base if MODEL_NAME.fullmatch(self.base) else Path(self.base).name

    @property
    def content(self) -> dict[str, object]:
        """The fields that determine how the base model is used, without paths."""
        return without_directories(self.model_dump(mode="json"))


class MergingConfig(Section):
    """How the adapter is merged into the base model."""

    dtype: MergedDtype = Field("base", description="Data type of the merged weights; base: the same as the base model.")
    format: Layout = Field(
        "transformers", description="Layout of the merged model: transformers, or llava for the original LLaVA code."
    )
    verify: bool = Field(
        False,
        description="Compare the answers of the merged model with those of base model and adapter; loads both in "
        "float32.",
    )
    push_to_hub: str | None = Field(
        None,
        description="Private Hugging Face Hub repository for the merged model, e.g. me/model. Empty: do not upload.",
    )
