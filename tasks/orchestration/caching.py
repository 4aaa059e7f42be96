"""Content-addressed cache for Prefect tasks: results are verified, then linked or copied into the run."""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from prefect import Task, get_run_logger, task
from prefect.context import TaskRunContext

from tasks.content_keys import code_digests, content_of, path_of_module
from tasks.errors import OccupiedError
from tasks.files import digest_of, write_text
from tasks.manifests import content_digest, copy_folder, verified_manifest
from tasks.paths import KEY_SUFFIX
from tasks.records import FolderRef, Manifest

Ref = TypeVar("Ref", bound=FolderRef)

# Name of the state in which Prefect returns a task's result from its cache.
CACHED = "Cached"
# Tag of a step whose results newer code keeps: days of training are not repeated for a changed message.
KEPT = "kept-across-versions"


@dataclass(frozen=True)
class CacheKey:
    """What identifies a step's result: its name, the content of its parameters but for `ignore`, and its code.

    The code is the package of the step's function and the modules or packages in `code`. Prefect calls the object.
    """

    ignore: frozenset[str]
    code: tuple[str, ...]

    def __call__(self, context: TaskRunContext, parameters: Mapping[str, object]) -> str:
        return self.of(context.task, parameters)

    def of(self, work: Task[..., Ref], parameters: Mapping[str, object]) -> str:
        """The key of a step with these parameters; of a KEPT step without its code."""
        contents = {name: content_of(value) for name, value in parameters.items() if name not in self.ignore}
        code = [] if KEPT in work.tags else code_digests(Path(inspect.getfile(work.fn)).parent, self.code)
        return f"rsvlm-{work.name}-{digest_of([*code, contents])}"


def step(
    name: str, *, ignore: Collection[str], code: Sequence[str] = (), tags: Iterable[str] = ()
) -> Callable[[Callable[..., Ref]], Task[..., Ref]]:
    """A task that returns a FolderRef; its result is persisted and found again by the content of its parameters.

    `ignore` names the parameters that do not change the result: where it is written, where it is logged. `code` names
    modules and packages outside the step's own package that decide the result. `tags` are those of Prefect's task.
    Raises TypeError for a parameter, and ModuleNotFoundError for a module, that does not exist.
    """
    for module in code:
        path_of_module(module)

    def decorate(function: Callable[..., Ref]) -> Task[..., Ref]:
        if unknown := set(ignore).difference(inspect.signature(function).parameters):
            raise TypeError(f"Step {name} has no parameter {min(unknown)}: correct its `ignore`.")
        # JSON: unpickling, Prefect's default, would execute whatever somebody has put among the results
        key = CacheKey(frozenset(ignore), tuple(code))
        return task(name=name, persist_result=True, result_serializer="json", cache_key_fn=key, tags=tags)(function)

    return decorate


def content_key(work: Task[..., Ref], parameters: Mapping[str, object]) -> str:
    """Cache key of a step with these parameters."""
    assert isinstance(work.cache_key_fn, CacheKey), f"{work.name} is not a step"
    return work.cache_key_fn.of(work, parameters)


def make(
    work: Task[..., Ref], out: Path, superseded: Path | None, result: Path | None = None, **parameters: object
) -> Ref:
    """Run a step that writes the folder `out`, or take its cached result if that is still intact.

    `result` is the folder inside `out` that the reference points to, if it is not `out` itself. A folder at `out` that
    has other content, or that the step refuses, is moved under `superseded`: nothing is overwritten. Without
    `superseded`, OccupiedError is raised instead.
    """
    if superseded is None:
        return _result_at(work, out, result or out, parameters)
    key = content_key(work, parameters)
    is_ours = not out.exists() or _key_at(out) == key
    # a KEPT step recognises its own folder by the manifest: days of training are not lost with a key file
    if not is_ours and KEPT not in work.tags:
        _set_aside(out, superseded)
        is_ours = True
    try:
        if is_ours:
            # before the work: a run that is killed finds its own unfinished folder again
            _write_key(out, key)
        ref = _result_at(work, out, result or out, parameters, is_ours)
    except OccupiedError as error:
        if not out.exists():
            raise
        get_run_logger().warning("%s", error)
        _set_aside(out, superseded)
        ref = _result_at(work, out, result or out, parameters)
    _write_key(out, key)
    return ref


def _result_at(work: Task[..., Ref], out: Path, path: Path, parameters: Mapping[str, Any], is_ours: bool = True) -> Ref:
    """A reference to `path`, where the step's result is now; a cached result is used only if it verifies.

    Nothing is copied over an `out` that may hold something else (`is_ours` False): the step checks it first.
    """
    state = work(out=out, **parameters, return_state=True)
    ref = state.result()
    here = ref.located(path, parameters.values())
    if state.name != CACHED or is_intact(here):
        return here
    # a complete result here whose bytes differ from the cached ones is kept: the step decides about it
    if is_ours and ref.path != path and _manifest_of(path) is None and is_intact(ref):
        copy_folder(ref.path, path)
        return here
    get_run_logger().warning("%s is no longer intact: what is incomplete or damaged is created again.", ref.path)
    return work.with_options(refresh_cache=True)(out=out, **parameters)


def free_folder(work: Task[..., Ref], folder: Path, parameters: Mapping[str, object]) -> Path:
    """`folder`, or one next to it with a digest in its name if `folder` is known to hold other content."""
    key = content_key(work, parameters)
    # `make` decides about a folder that lost its key
    is_other = folder.exists() and _key_at(folder) not in (None, key)
    return folder.with_name(f"{folder.name}-{key[-8:]}") if is_other else folder


def is_intact(ref: FolderRef) -> bool:
    """Whether a folder still has the content of its digest; what this process has not hashed yet is read."""
    manifest = _manifest_of(ref.path)
    return manifest is not None and content_digest(manifest) == ref.sha256


def _manifest_of(folder: Path) -> Manifest | None:
    """The manifest of an intact folder; None also if this user may not read it."""
    try:
        return verified_manifest(folder)
    except OSError:
        return None


def _key_file(out: Path) -> Path:
    return out.with_name(f".{out.name}{KEY_SUFFIX}")


def _write_key(out: Path, key: str) -> None:
    """Write the key file next to `out` and remove the parts that a killed process left of it.

    Only one process at a time writes `out`.
    """
    file = _key_file(out)
    for part in out.parent.glob(f".{file.name}.*.part"):
        part.unlink(missing_ok=True)
    write_text(file, key + "\n")


def _key_at(out: Path) -> str | None:
    """The key of the step that wrote `out`; None if it is unknown."""
    return _key_file(out).read_text(encoding="utf-8").strip() if _key_file(out).exists() else None


def _set_aside(out: Path, superseded: Path) -> None:
    """Move the folder `out` to a new name under `superseded`."""
    target = _free_path(out, superseded)
    target.parent.mkdir(parents=True, exist_ok=True)
    out.rename(target)
    get_run_logger().warning("%s was created with other settings or by other code: it was moved to %s.", out, target)


def _free_path(out: Path, superseded: Path) -> Path:
    """Where `out` is moved: its path relative to the run, under `superseded`, with the first free number."""
    run = superseded.parent
    old = superseded / (out.relative_to(run) if out.is_relative_to(run) else out.name)
    number = 1
    while (path := old.with_name(f"{out.name}-{number}")).exists():
        number += 1
    return path
