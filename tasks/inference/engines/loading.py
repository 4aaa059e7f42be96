"""Open the engine of a request: check its requirements, identify its answers and open its answer cache."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tasks.errors import ConfigError, DataError
from tasks.files import digest_of, sha256_of
from tasks.inference import image_transforms as transform_code
from tasks.inference.engines import chat_messages as message_code
from tasks.inference.engines.base import PreparedEngine
from tasks.inference.engines.cached import AnswerCache, CachedEngine
from tasks.inference.engines.registry import DEFAULT_ENGINE, ENGINES
from tasks.inference.request import PredictRequest
from tasks.model import images as pixel_code
from tasks.model.configuration import read_model_config
from tasks.model.families import family_for, family_of
from tasks.model.weights import weight_files
from tasks.records import Question
from tasks.settings import InferenceConfig
from tasks.storage.object_store import open_store

# their versions are part of what identifies a cached answer
IMAGE_LIBRARIES = ("pillow",)
LIBRARIES = ("torch", "transformers", *IMAGE_LIBRARIES)
INSTEAD = f"set inference.engine to {DEFAULT_ENGINE}"


@contextmanager
def open_engine(
    request: PredictRequest, image_digests: Mapping[str, str | None], warn: Callable[[str], None]
) -> Iterator[CachedEngine]:
    """Yield the engine of a request; `image_digests` maps image names to digests of their bytes, None if unreadable.

    Raises ConfigError if this machine or the model does not meet its requirements.
    """
    _require_device(request)
    require_engine(request.config, request.model)
    entry = ENGINES[request.config.engine]
    prepared: PreparedEngine = import_module(entry.module).prepare(request)
    if prepared.note:
        warn(prepared.note)
    cache = None
    if request.store and request.config.cache:
        cache = _open_cache(request, image_digests, prepared.fingerprint, warn)
    exact = entry.is_exact(prepared.dtype) if prepared.exact is None else prepared.exact
    engine = CachedEngine(prepared, exact, cache)
    try:
        yield engine
    finally:
        engine.close()


def require_engine(config: InferenceConfig, model: Path | None = None) -> None:
    """Raise ConfigError if an engine's package is missing, or if it or the settings do not fit the model.

    Raises ModelError if it is not clear which files hold the weights, and what the engine's own checks raise. Whether
    there is a GPU is not checked here: the machine that checks a run may have none.
    """
    name, entry = config.engine, ENGINES[config.engine]
    if entry.package and find_spec(entry.package) is None:
        raise ConfigError(
            f"The engine {name} needs the package {entry.package}: `pip install {entry.package}`, or {INSTEAD}."
        )
    if model is not None and entry.needs_model and "llava" not in entry.layouts:
        _require_layout(name, model)
    if model is not None and entry.needs_model and config.history != "independent":
        _require_dialogues(config, model)
    if entry.checks is not None:
        import_module(entry.checks).require(config, model)


def _require_layout(name: str, model: Path) -> None:
    config = read_model_config(model)
    if family_for(config, model).layout(config) == "llava":
        raise ConfigError(
            f"{model} is in the original LLaVA layout, which the engine {name} does not read: merge or convert it with "
            f"`rsvlm merge --format transformers`, or {INSTEAD}."
        )
    weight_files(model)


def _require_dialogues(config: InferenceConfig, model: Path) -> None:
    family = family_of(model)
    if not family.dialogues:
        raise ConfigError(
            f"{model} is a {family.name}, which takes one question at a time, and inference.history is "
            f"{config.history}: set it to independent."
        )


def _require_device(request: PredictRequest) -> None:
    name, entry = request.config.engine, ENGINES[request.config.engine]
    # a missing package is named first: installing it comes before anything else
    require_engine(request.config)
    if entry.needs_gpu:
        import torch

        if not torch.cuda.is_available():
            raise ConfigError(f"The engine {name} needs a GPU, and this machine has none: {INSTEAD}.")
    if request.adapter is not None and entry.served:
        raise ConfigError(f"The engine {name} asks a served model: leave out the adapter, or {INSTEAD}.")
    if request.adapter is not None and not entry.takes_adapters:
        raise ConfigError(f"The engine {name} takes merged models: merge the adapter with `rsvlm merge`, or {INSTEAD}.")


def _open_cache(
    request: PredictRequest, image_digests: Mapping[str, str | None], fingerprint: str, warn: Callable[[str], None]
) -> AnswerCache:
    assert request.store is not None
    # a served model is computed elsewhere: another torch here must not make its answers be paid for again
    libraries = IMAGE_LIBRARIES if request.config.is_served else LIBRARIES
    context: dict[str, object] = {
        "model": request.model_sha256,
        "adapter": request.adapter_digest(),
        "engine": fingerprint,
        "decoding": request.config.decoding,
        # the code that turns an image's bytes into pixels, and the libraries that compute answers from them
        "code": {"images": sha256_of(Path(pixel_code.__file__)), **{name: version(name) for name in libraries}},
    }
    if request.config.is_served:
        context["api"] = [request.config.api.content, sha256_of(Path(message_code.__file__))]
    if request.config.transform:
        context["transform"] = [request.config.transform, sha256_of(Path(transform_code.__file__))]
    prompt_of = _prompt_content(request)

    def key_of(question: Question) -> str | None:
        image = image_digests.get(question.image or "")
        # a sampled answer also depends on the question's key, which seeds it
        sampled = question.key if request.config.temperature else None
        try:
            return digest_of([prompt_of(question), image, sampled]) if image else None
        except DataError:
            # the engine refuses it, with its record
            return None

    return AnswerCache(open_store(request.store.uri, config=request.store.config), context, key_of, warn)


def _prompt_content(request: PredictRequest) -> Callable[[Question], Any]:
    """Return what identifies a question's prompt: its token ids, the image as one token; without a model its text."""
    if not ENGINES[request.config.engine].needs_model:
        return lambda question: [question.image, question.turns]
    from tasks.inference.engines.prompts import cached_prompt
    from tasks.model.loading import load_processor

    # now, not with the first question: a missing tokenizer is reported before anything is written
    processor = load_processor(request.model, request.adapter)
    return lambda question: cached_prompt(processor, question.turns)
