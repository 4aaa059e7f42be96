"""The section `inference`: prompts, decoding and engine."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from tasks.choices import CaptionTurns, History, InferenceDtype, Transform
from tasks.inference.engines.registry import DEFAULT_ENGINE, ENGINES
from tasks.settings.api import ApiConfig
from tasks.settings.base import Section


def _known_engine(name: str) -> str:
    if name not in ENGINES:
        *others, last = map(repr, ENGINES)
        raise PydanticCustomError(
            "literal_error", "Input should be {choices}", {"choices": f"{', '.join(others)} or {last}"}
        )
    return name


def _describe(name: str) -> str:
    return f"{name}: {ENGINES[name].summary} (needs {ENGINES[name].needs})"


def _add_engine_choices(schema: JsonDict) -> None:
    # as for a Literal: the run form offers them
    schema["enum"] = [*ENGINES]


class InferenceConfig(Section):
    """How the test set is answered; fields outside `content` change only the speed, not the answers."""

    batch_size: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="Maximum number of questions per batch. Empty: as many as memory allows, up to 256 on a GPU and "
        "64 on a CPU. Halved after an out-of-memory error.",
    )
    image_workers: int = Field(2, ge=1, le=64, description="Threads that prepare images while the model computes.")
    workers: int = Field(
        1,
        ge=1,
        le=1024,
        description="Processes that share the subsets, one per GPU; more than one process needs as many GPUs.",
    )
    ray_address: str | None = Field(
        None, description="Ray cluster for these processes, e.g. ray://host:10001 or auto. Empty: this machine."
    )
    max_new_tokens: int = Field(128, ge=1, le=4096, description="Maximum length of an answer in tokens.")
    temperature: float = Field(0.0, ge=0, le=5, description="Sampling temperature; 0: greedy decoding.")
    top_p: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Nucleus (top-p) sampling: sample from the most likely tokens whose probabilities add up to this "
        "value.",
    )
    seed: int = Field(28, ge=0, description="Random seed of sampling; each question derives its own seed from it.")
    history: History = Field(
        "independent",
        description="Earlier turns in the prompt of a later question: independent (none), predicted (the model's own "
        "answers) or reference (the reference answers).",
    )
    caption_turns: CaptionTurns = Field("first", description="Caption turns of a record to answer: the first or all.")
    dtype: InferenceDtype = Field(
        "auto", description="Data type of the weights during inference; auto: bfloat16 on a GPU, float32 on a CPU."
    )
    engine: Annotated[str, AfterValidator(_known_engine)] = Field(
        DEFAULT_ENGINE,
        description=f"Inference engine. {'; '.join(map(_describe, ENGINES))}.",
        json_schema_extra=_add_engine_choices,
    )
    api: ApiConfig = Field(ApiConfig(), description="A model behind an OpenAI-compatible server.")
    vllm_python: str | None = Field(
        None,
        description="Python of the environment in which the engine vllm runs. Empty: the environment variable "
        "RSVLM_VLLM_PYTHON, or else this environment if vLLM is installed in it.",
    )
    transform: Transform | None = Field(
        None,
        description="Change to every test image before the model sees it: a rotation counterclockwise, a flip, JPEG "
        "compression of quality 50, or half resolution (scaled down and up again). Empty: none.",
    )
    robustness: tuple[Transform, ...] = Field(
        (),
        description="Transforms under which an experiment also answers and scores the test set with the final model, "
        "to compare with the answers about the unchanged images.",
    )
    cache: bool = Field(True, description="Cache answers in the store and reuse cached answers.")
    equality_sample: int = Field(
        16,
        ge=0,
        le=1000,
        description="Number of questions to answer again one at a time if an answer may depend on its batch, to count "
        "how many answers stay the same.",
    )

    @model_validator(mode="after")
    def _robustness_needs_unchanged_images(self) -> "InferenceConfig":
        if self.robustness and self.transform:
            raise ValueError("robustness compares with unchanged images: leave transform empty, or robustness")
        return self

    @model_validator(mode="after")
    def _served_model_is_named(self) -> "InferenceConfig":
        if not self.is_served:
            return self
        if self.api.base_url is None:
            raise ValueError(
                f"the engine {self.engine} lacks api.base_url: set inference.api.base_url to the address of its "
                "server, such as http://localhost:8000/v1"
            )
        if self.api.model is None:
            raise ValueError(
                f"the engine {self.engine} lacks api.model: set inference.api.model to the name under which the "
                "server knows the model"
            )
        if self.workers > 1 or self.ray_address:
            raise ValueError(
                f"the engine {self.engine} asks many questions at a time in one process: leave inference.workers at "
                "1 and ray_address empty, and set inference.api.concurrency"
            )
        return self

    @property
    def is_served(self) -> bool:
        """Whether a model answers that is served elsewhere, and none of the run's own."""
        return ENGINES[self.engine].served

    def for_own_model(self) -> "InferenceConfig":
        """The settings for a model directory: with the default engine if a served model answers otherwise."""
        return self.model_copy(update={"engine": DEFAULT_ENGINE, "api": ApiConfig()}) if self.is_served else self

    @property
    def content(self) -> dict[str, object]:
        """The fields that determine the answers."""
        kept = {"history", "caption_turns", "dtype", "engine"}
        # answers that were given before there were transforms stay valid
        transform = {"transform": self.transform} if self.transform else {}
        served = self.api.content if self.is_served else {}
        return {**self.model_dump(mode="json", include=kept), **transform, **served, **self.decoding}

    def with_transform(self, transform: Transform | None) -> "InferenceConfig":
        """The settings for answers about images with this transform alone."""
        return self.model_copy(update={"transform": transform, "robustness": ()})

    @property
    def decoding(self) -> dict[str, object]:
        """The fields that determine decoding; seed and top_p are included only if tokens are sampled."""
        sampling = {"temperature": self.temperature, "top_p": self.top_p, "seed": self.seed} if self.temperature else {}
        return {"max_new_tokens": self.max_new_tokens, **sampling}

    @property
    def adapter_engine(self) -> str:
        """The engine for a base model with an adapter: this one, or the default if it takes merged models only."""
        return self.engine if ENGINES[self.engine].takes_adapters else DEFAULT_ENGINE
