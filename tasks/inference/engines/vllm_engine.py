"""The engine that hands all questions to vLLM, for machines with a GPU where it is installed.

vLLM batches by itself and shares the keys and values of equal beginnings. It takes merged models in transformers'
layout. Written after vLLM's documentation of `LLM.generate` with token prompts and `multi_modal_data`; not run yet.
"""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tasks.errors import ConfigError, DataError
from tasks.image_paths import image_file
from tasks.inference.engines.base import Refusal, by_image, plan_batches, refuse
from tasks.inference.engines.decoding import Decoding
from tasks.inference.engines.prompts import require_fitting, text_of
from tasks.model.configuration import read_model_config
from tasks.model.image_scaling import scale_for
from tasks.model.images import read_image
from tasks.model.llava.model_config import require_model_config
from tasks.model.llava.original_layout import is_original
from tasks.model.llava.prompt import encode_prompt
from tasks.model.loading import load_processor
from tasks.model.weights import weight_files
from tasks.records import Answer, Question

# answers are on the disk after as many questions
BATCH = 512
INSTEAD = "leave inference.engine at transformers"


def require_vllm(model: Path, adapter: Path | None) -> str:
    """The version of vLLM; raises ConfigError where it cannot answer with this model on this machine."""
    from importlib.metadata import version

    import torch

    require_vllm_installed()
    if not torch.cuda.is_available():
        raise ConfigError(f"vLLM needs a GPU, and this machine shows none: {INSTEAD}.")
    if adapter is not None:
        raise ConfigError(f"The vLLM engine takes whole models: merge the adapter with `rsvlm merge`, or {INSTEAD}.")
    require_vllm_layout(model)
    return version("vllm")


def require_vllm_installed() -> None:
    """Raise ConfigError where there is no vLLM."""
    if find_spec("vllm") is None:
        raise ConfigError(f"vLLM is not installed: `pip install vllm` beside rsvlm, or {INSTEAD}.")


def require_vllm_layout(model: Path) -> None:
    """Raise ConfigError for a layout that vLLM does not read, ModelError where it is not clear what it would read."""
    if is_original(read_model_config(model)):
        raise ConfigError(
            f"{model} is in the original LLaVA layout, which vLLM does not read: merge or convert it with "
            f"`rsvlm merge --format transformers`, or {INSTEAD}."
        )
    weight_files(model)


class VllmEngine:
    """Answers through vLLM; how it batches can change answers, so a sample is asked again alone."""

    is_exact = False

    def __init__(self, model: Path, images: Path, decoding: Decoding, dtype: str):
        self.fingerprint = f"vllm {require_vllm(model, None)} {dtype}"
        import vllm

        self._params = vllm.SamplingParams
        self._images, self._decoding = images, decoding
        self._processor = load_processor(model)
        self._longest = int(require_model_config(model)["text_config"].get("max_position_embeddings", 2048))
        self._llm = vllm.LLM(
            model=str(model),
            dtype=dtype,
            max_model_len=self._longest,
            enable_prefix_caching=True,
            limit_mm_per_prompt={"image": 1},
        )

    def answer(self, questions: Sequence[Question]) -> Iterator[list[Answer | Refusal]]:
        for batch in plan_batches(by_image(questions), lambda _images, count: count <= BATCH):
            yield self._answer_all([question for group in batch for question in group])

    def answer_alone(self, question: Question) -> Answer | Refusal:
        return self._answer_all([question])[0]

    def _answer_all(self, questions: Sequence[Question]) -> list[Answer | Refusal]:
        outcomes: list[Answer | Refusal] = []
        asked: list[tuple[Question, dict[str, Any]]] = []
        images: dict[str, Any] = {}
        for question in questions:
            try:
                asked.append((question, self._request(question, images)))
            except DataError as error:
                outcomes.append(refuse(question, error))
        params = [self._params_of(question) for question, _ in asked]
        found = self._llm.generate([request for _, request in asked], params, use_tqdm=False) if asked else []
        for (question, _), output in zip(asked, found, strict=True):
            ids = list(output.outputs[0].token_ids)
            outcomes.append(Answer(key=question.key, text=text_of(self._processor.tokenizer, ids), tokens=len(ids)))
        return outcomes

    def _request(self, question: Question, images: dict[str, Any]) -> dict[str, Any]:
        """A prompt's tokens, an image as the one token that vLLM replaces, and the image itself."""
        name, processor = question.image or "", self._processor
        if name not in images:
            # as small as the model takes it: a batch's images are all held at once
            images[name] = scale_for(read_image(image_file(self._images, name)), processor.image_processor)
        ids = encode_prompt(processor.tokenizer, question.turns, processor.image_token_id, 1)
        require_fitting(ids, processor, self._longest, self._decoding.max_new_tokens)
        return {"prompt_token_ids": ids, "multi_modal_data": {"image": images[name]}}

    def _params_of(self, question: Question) -> Any:
        decoding = self._decoding
        seed = decoding.seed_of(question.key) if decoding.temperature else None
        return self._params(
            temperature=decoding.temperature, top_p=decoding.top_p, max_tokens=decoding.max_new_tokens, seed=seed
        )
