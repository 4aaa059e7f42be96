"""The section `inference`: what is asked of a model, and how it is made to answer."""

from typing import Any, Literal

from pydantic import Field

from tasks.settings.base import Section


class InferenceConfig(Section):
    """How the test set is answered; what is not in `content` changes no answer, only how soon it comes."""

    batch_size: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="Most questions a batch; empty: as memory allows, at most 256 on a GPU and 64 beside one. "
        "Halved where memory is short all the same.",
    )
    image_workers: int = Field(2, ge=1, le=64, description="Threads that prepare images while the model computes.")
    workers: int = Field(
        1, ge=1, le=1024, description="Processes that share the subsets, one a GPU; more than one needs as many GPUs."
    )
    ray_address: str | None = Field(
        None, description="Ray cluster for these processes, e.g. ray://host:10001 or auto; empty: this machine."
    )
    max_new_tokens: int = Field(128, ge=1, le=4096, description="Longest answer in tokens.")
    temperature: float = Field(0.0, ge=0, le=5, description="0: the likeliest token; above: tokens are drawn.")
    top_p: float = Field(1.0, gt=0, le=1, description="Drawn from the likeliest tokens that make up this share.")
    seed: int = Field(28, ge=0, description="Seed of the drawn tokens; each question draws for itself.")
    history: Literal["independent", "predicted", "reference"] = Field(
        "independent",
        description="What a later turn sees of the earlier ones: nothing, the model's own answers, or the true ones.",
    )
    caption_turns: Literal["first", "all"] = Field("first", description="Caption turns asked of a record.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Type of the weights while answering; auto: bfloat16 on a GPU, float32 on a CPU."
    )
    engine: Literal["transformers", "vllm", "echo"] = Field(
        "transformers",
        description="What answers; vllm needs a GPU and its package; echo: no model, for trying out a data folder.",
    )
    cache: bool = Field(True, description="Keep answers in the store, and ask nothing again that is kept there.")
    equality_sample: int = Field(
        16,
        ge=0,
        le=1000,
        description="Questions that are asked again one by one where numbers are not float32, to count equal answers.",
    )

    @property
    def content(self) -> dict[str, Any]:
        """What decides the answers."""
        kept = {"history", "caption_turns", "dtype", "engine"}
        return {**self.model_dump(mode="json", include=kept), **self.decoding}

    @property
    def decoding(self) -> dict[str, Any]:
        """What decides how tokens are chosen; seed and share count only where they are drawn."""
        drawn = {"temperature": self.temperature, "top_p": self.top_p, "seed": self.seed} if self.temperature else {}
        return {"max_new_tokens": self.max_new_tokens, **drawn}
