"""The engine that passes all questions to vLLM, on machines with a GPU where it is installed.

vLLM batches by itself and caches the keys and values of common prefixes. It takes merged models in transformers
layout. Written from vLLM's documentation of `LLM.generate` with token prompts and `multi_modal_data`; never run by us.
"""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tasks.choices import Transform
from tasks.errors import DataError
from tasks.inference.engines.base import Outcome, PreparedEngine, group_by_image, plan_batches, refuse
from tasks.inference.engines.decoding import Decoding, decode_answer
from tasks.inference.engines.prompts import cached_prompt, require_fitting_prompt
from tasks.inference.image_transforms import read_test_image
from tasks.inference.request import PredictRequest
from tasks.model.image_scaling import scale_for
from tasks.model.llava.model_config import require_model_config
from tasks.model.llava.processor import load_processor
from tasks.records import Answer, Question

# answers are written to disk after each batch of this many questions
BATCH_SIZE = 512


def prepare(request: PredictRequest) -> PreparedEngine:
    """Prepare the engine of a request; the model is loaded with the first question."""
    config = request.config
    decoding = Decoding(config.max_new_tokens, config.temperature, config.top_p, config.seed)
    return PreparedEngine(
        f"vllm {version('vllm')} {config.dtype}",
        lambda: VllmEngine(request.model, request.images, decoding, config.dtype, config.transform),
        config.dtype,
    )


class VllmEngine:
    """Answers through vLLM; its batching may change an answer."""

    def __init__(self, model: Path, images: Path, decoding: Decoding, dtype: str, transform: Transform | None = None):
        import vllm

        self._params = vllm.SamplingParams
        self._images, self._decoding, self._transform = images, decoding, transform
        self._processor = load_processor(model)
        self._positions = int(require_model_config(model)["text_config"].get("max_position_embeddings", 2048))
        self._llm = vllm.LLM(
            model=str(model),
            dtype=dtype,
            max_model_len=self._positions,
            enable_prefix_caching=True,
            limit_mm_per_prompt={"image": 1},
        )

    def answer(self, questions: Sequence[Question]) -> Iterator[list[Outcome]]:
        for batch in plan_batches(group_by_image(questions), lambda _images, count: count <= BATCH_SIZE):
            yield self._answer_batch([question for group in batch for question in group])

    def answer_alone(self, question: Question) -> Outcome:
        return self._answer_batch([question])[0]

    def _answer_batch(self, questions: Sequence[Question]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        asked: list[tuple[Question, dict[str, object]]] = []
        images: dict[str, object] = {}
        for question in questions:
            try:
                asked.append((question, self._prompt(question, images)))
            except DataError as error:
                outcomes.append(refuse(question, error))
        params = [self._params_of(question) for question, _ in asked]
        outputs = self._llm.generate([prompt for _, prompt in asked], params, use_tqdm=False) if asked else []
        for (question, _), output in zip(asked, outputs, strict=True):
            ids = list(output.outputs[0].token_ids)
            text = decode_answer(self._processor.tokenizer, ids)
            outcomes.append(Answer(key=question.key, text=text, tokens=len(ids)))
        return outcomes

    def _prompt(self, question: Question, images: dict[str, object]) -> dict[str, object]:
        """Token ids, with the image as the one token that vLLM expands, and the image itself."""
        name, processor = question.image or "", self._processor
        if name not in images:
            # scaled down to the model's input: all images of a batch are in memory at once
            image = read_test_image(self._images, name, self._transform)
            images[name] = scale_for(image, processor.image_processor)
        ids = processor.encode_prompt(question.turns)
        require_fitting_prompt(ids, processor.image_tokens, self._positions, self._decoding.max_new_tokens)
        return {
            "prompt_token_ids": cached_prompt(processor, question.turns),
            "multi_modal_data": {"image": images[name]},
        }

    def _params_of(self, question: Question) -> Any:
        decoding = self._decoding
        seed = decoding.seed_of(question.key) if decoding.temperature else None
        return self._params(
            temperature=decoding.temperature, top_p=decoding.top_p, max_tokens=decoding.max_new_tokens, seed=seed
        )
