"""The engine that passes all questions to vLLM, in a process of another environment.

vLLM batches by itself and caches the keys and values of common prefixes. It takes merged models in transformers
layout. It gets token ids, with the image as one of them, and the pixel values that the model was trained with: left to
itself it scales images by torchvision and as the base's processor file says, and answers differ.
"""

import json
import weakref
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tasks.choices import Transform
from tasks.errors import DataError
from tasks.inference.engines.base import Outcome, PreparedEngine, group_by_image, plan_batches, refuse
from tasks.inference.engines.decoding import Decoding, decode_answer
from tasks.inference.engines.prompts import cached_prompt, require_fitting_prompt
from tasks.inference.engines.vllm_process import LOAD_LIMIT_S, VllmProcess, about, find_python
from tasks.inference.image_transforms import read_test_image
from tasks.inference.request import PredictRequest
from tasks.model.configuration import GENERATION, PREPROCESSOR, PROCESSOR, read_settings
from tasks.model.families import family_of
from tasks.model.inputs import ImageInputs
from tasks.records import Answer, Question

# answers are written to disk after each batch of this many questions about this many images, all in memory at once
BATCH_SIZE, BATCH_IMAGES = 512, 128
# vLLM's own image processor gets finished pixel values
UNTOUCHED = {
    "image_processor_type": "CLIPImageProcessor",
    **dict.fromkeys(("do_convert_rgb", "do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_pad"), False),
}


class Options(NamedTuple):
    """How vLLM is run: the Python of its environment and a torch dtype's name."""

    python: Path
    dtype: str


def prepare(request: PredictRequest) -> PreparedEngine:
    """Prepare the engine of a request; the model is loaded with the first question."""
    config = request.config
    python = find_python(config.vllm_python)
    version, device = about(python)
    dtype = ("bfloat16" if device == "cuda" else "float32") if config.dtype == "auto" else config.dtype
    decoding = Decoding(config.max_new_tokens, config.temperature, config.top_p, config.seed)
    return PreparedEngine(
        f"vllm {version} {dtype} {device}",
        lambda: VllmEngine(request.model, request.images, decoding, Options(python, dtype), config.transform),
        dtype,
    )


class VllmEngine:
    """Answers through vLLM; its batching may change an answer."""

    def __init__(
        self, model: Path, images: Path, decoding: Decoding, options: Options, transform: Transform | None = None
    ):
        self._images, self._decoding, self._transform = images, decoding, transform
        family = family_of(model)
        self._processor = family.load_processor(model)
        self._positions = family.max_positions(family.read_config(model))
        self._stops = stop_tokens_of(model, self._processor.tokenizer.eos_token_id)
        view = TemporaryDirectory(prefix="rsvlm-vllm-")
        link_without_scaling(model, Path(view.name), self._processor.blank_image())
        self._process = VllmProcess(options.python)
        self.close = weakref.finalize(self, _close, self._process, view)
        load = {
            "model": view.name,
            "dtype": options.dtype,
            "max_model_len": self._positions,
            "enable_prefix_caching": True,
            "limit_mm_per_prompt": {"image": 1},
        }
        self._process.ask({"do": "load", "options": load}, limit_s=LOAD_LIMIT_S)

    def answer(self, questions: Sequence[Question]) -> Iterator[list[Outcome]]:
        fits = lambda images, count: images <= BATCH_IMAGES and count <= BATCH_SIZE  # noqa: E731 - read as a sentence
        for batch in plan_batches(group_by_image(questions), fits):
            yield self._answer_batch([question for group in batch for question in group])

    def answer_alone(self, question: Question) -> Outcome:
        # a salt of its own: no keys and values of other prompts are used
        return self._answer_batch([question], {"cache_salt": f"alone {question.key}"})[0]

    def _answer_batch(self, questions: Sequence[Question], salt: Mapping[str, str] | None = None) -> list[Outcome]:
        outcomes: list[Outcome] = []
        asked: list[Question] = []
        prompts: list[dict[str, object]] = []
        pixels: dict[str, Any] = {}
        for question in questions:
            try:
                ids = self._prompt(question, pixels)
            except DataError as error:
                outcomes.append(refuse(question, error))
                continue
            asked.append(question)
            image = list(pixels).index(question.image or "")
            prompt = {"prompt_token_ids": ids, **(salt or {})}
            prompts.append({"prompt": prompt, "image": image, "params": self._params_of(question)})
        answers = self._generate(prompts, list(pixels.values())) if asked else []
        return outcomes + [self._decode(question, tokens) for question, tokens in zip(asked, answers, strict=True)]

    def _prompt(self, question: Question, pixels: "dict[str, Any]") -> list[int]:
        """Token ids, the image as the one token that vLLM expands; its pixel values are put into `pixels`."""
        name, processor = question.image or "", self._processor
        inputs = None
        if name not in pixels:
            inputs = processor.prepare(read_test_image(self._images, name, self._transform))
        ids = processor.encode_prompt(question.turns)
        tokens = len(inputs.token_ids) if inputs else processor.image_tokens or 0
        require_fitting_prompt(ids, tokens, self._positions, self._decoding.max_new_tokens)
        if inputs is not None:
            pixels[name] = inputs.tensors["pixel_values"][0].numpy()
        return cached_prompt(processor, question.turns)

    def _generate(self, prompts: Sequence[Mapping[str, object]], pixels: Sequence[Any]) -> list[list[int]]:
        """The token ids of each answer; `pixels` are float32 arrays (3, height, width)."""
        request = {"do": "generate", "prompts": list(prompts), "shapes": [array.shape for array in pixels]}
        tokens: list[list[int]] = self._process.ask(request, [array.tobytes() for array in pixels])["tokens"]
        return tokens

    def _params_of(self, question: Question) -> dict[str, object]:
        decoding = self._decoding
        seed = {"seed": decoding.seed_of(question.key)} if decoding.temperature else {}
        return {
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "max_tokens": decoding.max_new_tokens,
            # ours alone, as in the other engines
            "stop_token_ids": self._stops,
            "ignore_eos": True,
            "detokenize": False,
            **seed,
        }

    def _decode(self, question: Question, tokens: Sequence[int]) -> Answer:
        # the stop token is no part of the answer
        ids = list(takewhile(lambda token: token not in self._stops, tokens))
        return Answer(key=question.key, text=decode_answer(self._processor.tokenizer, ids), tokens=len(ids))


def _close(process: VllmProcess, view: "TemporaryDirectory[str]") -> None:
    process.end()
    view.cleanup()


def stop_tokens_of(model: Path, eos: int | None) -> list[int]:
    """The token ids that end an answer, as the model directory says; `eos` if it has no generation_config.json."""
    file = model / GENERATION
    found = read_settings(file).get("eos_token_id") if file.is_file() else None
    stops = eos if found is None else found
    # without any, an answer ends at its longest
    return stops if isinstance(stops, list) else [] if stops is None else [stops]


def link_without_scaling(model: Path, view: Path, blank: ImageInputs) -> None:
    """Fill `view` with links to a model's files, but with an image processor that leaves pixel values as they are."""
    for file in model.iterdir():
        if file.name not in (PREPROCESSOR, PROCESSOR):
            (view / file.name).symlink_to(file.resolve())
    height, width = blank.tensors["pixel_values"].shape[-2:]
    sizes = {"size": {"height": height, "width": width}, "crop_size": {"height": height, "width": width}}
    (view / PREPROCESSOR).write_text(json.dumps({**UNTOUCHED, **sizes}), encoding="utf-8")
    processor = read_settings(model / PROCESSOR) if (model / PROCESSOR).is_file() else {}
    kept = {name: value for name, value in processor.items() if name != "image_processor"}
    (view / PROCESSOR).write_text(json.dumps({"processor_class": "LlavaProcessor", **kept}), encoding="utf-8")
