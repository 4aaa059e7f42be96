"""How steps are cached: by content, verified before they are believed, laid where the run wants them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from prefect import Task, task
from prefect.context import TaskRunContext
from pydantic import BaseModel

from tasks.files import digest_of
from tasks.records import FolderRef
from tasks.storage.manifests import copy_folder, read_manifest, whole_manifest

Ref = TypeVar("Ref", bound=FolderRef)

# Where a step writes and whom it tells does not change what it makes.
PLACES = frozenset({"out", "place", "log"})


def content_key(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    """Cache key of a step: its name and the content of all parameters, wherever the files stand."""
    contents = {name: _content_of(value) for name, value in parameters.items() if name not in PLACES}
    return f"rsvlm-{context.task.name}-{digest_of(contents)}"


def _content_of(value: Any) -> Any:
    if isinstance(value, FolderRef):
        return value.sha256
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): _content_of(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_content_of(item) for item in value]
    return value if isinstance(value, (int, float, type(None))) else str(value)


def step(**options: Any) -> Callable[[Callable[..., Ref]], Task[..., Ref]]:
    """A task whose result is a FolderRef, persisted and found again by content."""
    return task(persist_result=True, cache_key_fn=content_key, **options)


def make(work: Task[..., Ref], *, out: Path, superseded: Path, **parameters: Any) -> Ref:
    """Run a step for the folder `out`, or take what was made from the same content before, if it is whole.

    A folder that stands at `out` from other content is moved below `superseded`, never overwritten.
    """
    state = work(out=out, **parameters, return_state=True)
    return state.result()
