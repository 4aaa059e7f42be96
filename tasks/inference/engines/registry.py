"""The engine of a request: which one, what identifies its answers, and where they are kept."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tasks.files import digest_of, sha256_of
from tasks.inference.engines.answer_cache import AnswerCache
from tasks.inference.engines.base import Engine
from tasks.inference.engines.cached import LazyEngine
from tasks.inference.engines.echo import EchoEngine
from tasks.inference.request import PredictRequest
from tasks.manifests import folder_digest
from tasks.model import images as pixel_code
from tasks.records import Question
from tasks.storage.object_store import open_store

ECHO_BATCH = 64
LIBRARIES = ("torch", "transformers", "pillow")


@contextmanager
def made_engine(
    request: PredictRequest, images: Mapping[str, str | None], warn: Callable[[str], None]
) -> Iterator[LazyEngine]:
    """The engine of a request; `images` holds the digests of the images' bytes by name."""
    fingerprint, is_exact, load = _choose(request)
    cache = _open_cache(request, images, fingerprint, warn) if request.store and request.config.cache else None
    engine = LazyEngine(fingerprint, is_exact, load, cache)
    try:
        yield engine
    finally:
        engine.close()


def adapter_digest(request: PredictRequest) -> str | None:
    """The digest of the adapter that is put on the model."""
    return folder_digest(request.adapter) if request.adapter else None


def _choose(request: PredictRequest) -> tuple[str, bool, Callable[[], Engine]]:
    """Fingerprint, whether answers are exact, and what loads the engine."""
    config = request.config
    if config.engine == "echo":
        return EchoEngine.fingerprint, True, lambda: EchoEngine(request.images, config.batch_size or ECHO_BATCH)
    from tasks.inference.engines.decoding import Decoding

    decoding = Decoding(config.max_new_tokens, config.temperature, config.top_p, config.seed)
    if config.engine == "vllm":
        from tasks.inference.engines.vllm_engine import VllmEngine, require_vllm

        found = require_vllm(request.model, request.adapter)
        return (
            f"vllm {found} {config.dtype}",
            False,
            lambda: VllmEngine(request.model, request.images, decoding, config.dtype),
        )
    from tasks.inference.engines.transformers_engine import TransformersEngine, fingerprint_of
    from tasks.model.loading import choose_device, choose_dtype, load_model

    device = choose_device()
    dtype = choose_dtype(config.dtype, device)

    def load() -> Engine:
        loaded = load_model(request.model, request.adapter, config.dtype, request.projector)
        return TransformersEngine(loaded, request.images, decoding, config.batch_size, config.image_workers)

    return fingerprint_of(dtype, device), str(dtype) == "torch.float32", load


def _open_cache(
    request: PredictRequest, images: Mapping[str, str | None], fingerprint: str, warn: Callable[[str], None]
) -> AnswerCache | None:
    assert request.store is not None
    context: dict[str, Any] = {
        "model": request.model_sha256,
        "adapter": adapter_digest(request),
        "engine": fingerprint,
        "decoding": request.config.decoding,
        # what turns an image's bytes into numbers, and the numbers into words
        "code": {"images": sha256_of(Path(pixel_code.__file__)), **{name: version(name) for name in LIBRARIES}},
    }
    prompt_of = _prompts_of(request)

    def key_of(question: Question) -> str | None:
        image = images.get(question.image or "")
        # a drawn answer belongs to its question's place
        drawn = question.key if request.config.temperature else None
        return digest_of([prompt_of(question), image, drawn]) if image else None

    return AnswerCache(open_store(request.store.uri, config=request.store.config), context, key_of, warn)


def _prompts_of(request: PredictRequest) -> Callable[[Question], Any]:
    """What gives a question's prompt as the model sees it: its tokens, an image as one."""
    if request.config.engine == "echo":
        return lambda question: [question.image, question.turns]
    from tasks.model.llava.prompt import encode_prompt
    from tasks.model.loading import load_processor

    # at once: what a model directory lacks is said before anything is written
    processor = load_processor(request.model, request.adapter)
    return lambda question: encode_prompt(processor.tokenizer, question.turns, processor.image_token_id, 1)
