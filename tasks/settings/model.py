"""Settings of the base model and of the merge."""

import re
from typing import Any, Literal

from pydantic import Field, field_validator

from tasks.settings.base import Section

# a model's name on a hub, or a word for one; anything else says where a directory is
NAME = re.compile(r"(?!\.)[\w.-]+(/(?!\.)[\w.-]+)?")


def without_directories(model: dict[str, Any]) -> dict[str, Any]:
    names = [name for name in ("base", "vision_tower") if model.get(name)]
    return {**model, **{name: None for name in names if not NAME.fullmatch(model[name])}}


class ModelConfig(Section):
    """The base model, by the names that LLaVA gives its parts."""

    base: str = Field(
        "tiny",
        description="Directory or hub name of a LLaVA model, e.g. llava-hf/llava-1.5-7b-hf or "
        "liuhaotian/llava-v1.5-7b; tiny: a toy model that rsvlm pre-trains itself.",
    )
    vision_tower: str | None = Field(
        None, description="Vision tower of a model in the original layout; empty: as the model says."
    )
    version: Literal["v1"] = Field("v1", description="Prompt template.")
    mm_projector_type: Literal["mlp2x_gelu"] = Field("mlp2x_gelu", description="Projector between tower and LLM.")
    mm_vision_select_layer: int = Field(-2, le=-1, ge=-24, description="Layer of the tower that is read.")
    mm_use_im_start_end: Literal[False] = Field(
        False, description="Start and end tokens around the image; not in LLaVA 1.5."
    )
    mm_use_im_patch_token: Literal[False] = Field(False, description="Image patch token; not in LLaVA 1.5.")
    image_aspect_ratio: Literal["pad", "square"] = Field(
        "pad", description="pad: to a square with the mean colour; square: crop the centre."
    )

    @field_validator("base", "vision_tower")
    @classmethod
    def _no_address(cls, given: str | None) -> str | None:
        # not repeated: an address may hold a login
        if given and "://" in given:
            raise ValueError("an address is given, where a directory or a hub name is taken")
        return given

    @property
    def content(self) -> dict[str, Any]:
        """What decides how the base is used; a directory's files say what it is, wherever it stands."""
        return without_directories(self.model_dump(mode="json"))


class MergingConfig(Section):
    """How the adapter is merged into the base."""

    dtype: Literal["base", "float32", "bfloat16", "float16"] = Field(
        "base", description="Type of the merged weights; base: as the base model's."
    )
    format: Literal["transformers", "llava"] = Field(
        "transformers", description="Layout of the merged model: transformers, or llava: as the original code reads it."
    )
    verify: bool = Field(
        False, description="Compare the merged model's answers with those of base and checkpoint; takes both in fp32."
    )
    push_to_hub: str | None = Field(
        None, description="Private repository on the Hugging Face hub to push the merged model to, e.g. me/model."
    )
