"""Digests of inputs and of code: what a result depends on, independent of where files are."""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel

from tasks.files import digest_of, sha256_of

# Code that several stages share and that decides what their steps return; each step names its own in `code`.
MODEL_CODE = ("tasks.model",)
RECORD_CODE = (
    "tasks.boxes",
    "tasks.image_paths",
    "tasks.json_stream",
    "tasks.prompt_text",
    "tasks.question_types",
    "tasks.record_reader",
    "tasks.sources",
    "tasks.turn_tasks",
)
SHARED_CODE = (*MODEL_CODE, *RECORD_CODE)


def content_of(value: object) -> object:
    """A JSON-able value that is equal for equal content: references count by their digests, wherever they are.

    Raises TypeError for a path and for every type whose content is not known.
    """
    if isinstance(value, Path):
        raise TypeError(f"{value} is a location: a step is identified by the content of its inputs.")
    if isinstance(value, BaseModel):
        if hasattr(value, "content"):
            return value.content
        return {name: content_of(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(key): content_of(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [content_of(item) for item in value]
    if isinstance(value, (str, int, float, type(None))):
        return value
    raise TypeError(f"{type(value).__qualname__} has no known content: pass text, numbers, lists or a reference.")


def content_digest_of(inputs: object) -> str:
    """SHA-256 of inputs by content and of all code of `tasks`."""
    return digest_of([_digest_of_files(Path(__file__).parent), content_of(inputs)])


def code_digests(package: Path, modules: Iterable[str]) -> list[str]:
    """SHA-256 of a package folder, then of each module or package that is named, in their order."""
    return [_digest_of_files(path) for path in (package, *map(path_of_module, modules))]


def path_of_module(name: str) -> Path:
    """The file of a module, or the folder of a package; raises ModuleNotFoundError. The module is not imported."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"There is no module {name}: correct the `code` of the step that names it.")
    return Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)


@cache
def _digest_of_files(path: Path) -> str:
    """SHA-256 of a file, or of all files in a folder, templates and data too."""
    if path.is_file():
        return sha256_of(path)
    files = [file for file in path.rglob("*") if file.is_file() and file.parent.name != "__pycache__"]
    return digest_of({file.relative_to(path).as_posix(): sha256_of(file) for file in files})
