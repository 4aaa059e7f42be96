"""How steps are cached: by content, verified before they are believed, laid where the run wants them."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from contextvars import copy_context
from functools import cache
from pathlib import Path
from threading import Lock, Thread
from typing import Any, TypeVar, cast
from uuid import UUID

from prefect import Task, get_run_logger, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext
from pydantic import BaseModel

from tasks.errors import OccupiedError
from tasks.files import digest_of, sha256_of, write_text
from tasks.manifests import content_digest, copy_folder, verified_manifest
from tasks.orchestration.line_limit import LineLimit
from tasks.paths import KEY_SUFFIX
from tasks.records import FolderRef, Manifest

Ref = TypeVar("Ref", bound=FolderRef)

# Where a step writes and whom it tells does not change what it makes.
PLACES = frozenset({"out", "log", "run"})
CACHED = "Cached"
WHOLE, LAST_SHOWN_S = 100.0, 10.0
# Tag of a step whose results newer code keeps: days of training are not repeated for a mended message.
KEPT = "kept-across-versions"
# All that train and answer go through it.
MODEL_CODE = Path(__file__).parents[1] / "model"


def step(name: str, **options: Any) -> Callable[[Callable[..., Ref]], Task[..., Ref]]:
    """A task whose result is a FolderRef, persisted and found again by the content of its parameters."""
    # as JSON: Prefect's own way, pickles, would run whatever someone has put among the results
    decorate = task(name=name, persist_result=True, result_serializer="json", cache_key_fn=_key_in_context, **options)
    return cast("Callable[[Callable[..., Ref]], Task[..., Ref]]", decorate)


def make(
    work: Task[..., Ref], out: Path, superseded: Path | None, result: Path | None = None, **parameters: Any
) -> Ref:
    """Run a step for the folder `out`, or take what the same content made before, if it is still whole.

    `result` is the folder inside `out` that the reference stands for, where it is not `out` itself. What other content
    made at `out`, and what the step cannot take for its own there, is moved below `superseded`: nothing is
    overwritten. With no such place OccupiedError is raised.
    """
    if superseded is None:
        return _made_here(work, out, result or out, parameters)
    key = content_key(work, parameters)
    is_ours = not out.exists() or _key_at(out) == key
    # of a KEPT step's folder the step itself can say it, by its manifest: days of training are not lost with a key
    if not is_ours and KEPT not in work.tags:
        _set_aside(out, superseded)
        is_ours = True
    try:
        if is_ours:
            # before the work: a run that is killed finds its own unfinished folder again
            _write_key(out, key)
        ref = _made_here(work, out, result or out, parameters, is_ours)
    except OccupiedError as error:
        if not out.exists():
            raise
        get_run_logger().warning("%s", error)
        _set_aside(out, superseded)
        ref = _made_here(work, out, result or out, parameters)
    _write_key(out, key)
    return ref


def _made_here(
    work: Task[..., Ref], out: Path, place: Path, parameters: Mapping[str, Any], is_ours: bool = True
) -> Ref:
    """A reference to `place`, where the step's result stands now; of a cached result only what is verified is taken.

    Nothing is copied over an `out` that may hold something else (`is_ours` False): the step looks at it first.
    """
    state = work(out=out, **parameters, return_state=True)
    ref = state.result()
    here = ref.located(place, parameters.values())
    if state.name != CACHED or is_intact(here):
        return here
    # what is complete here, of other bytes than another run made of the same, is the step's to take: it is kept
    if is_ours and ref.path != place and _manifest_of(place) is None and is_intact(ref):
        copy_folder(ref.path, place)
        return here
    get_run_logger().warning("%s is no longer what was made there: what is not complete is made again.", ref.path)
    return work.with_options(refresh_cache=True)(out=out, **parameters)


def free_folder(work: Task[..., Any], folder: Path, parameters: Mapping[str, Any]) -> Path:
    """`folder`, or one with a digest beside it where it is known that other content stands there."""
    key = content_key(work, parameters)
    # of a folder that lost its key `make` decides
    is_other = folder.exists() and _key_at(folder) not in (None, key)
    return folder.with_name(f"{folder.name}-{key[-8:]}") if is_other else folder


def content_key(work: Task[..., Any], parameters: Mapping[str, Any]) -> str:
    """Cache key of a step: its name, its code unless it is KEPT, and the content of its parameters."""
    contents = {key: _content_of(value) for key, value in parameters.items() if key not in PLACES}
    packages = [] if KEPT in work.tags else [Path(inspect.getfile(work.fn)).parent, MODEL_CODE]
    return f"rsvlm-{work.name}-{digest_of([*map(_code_digest, packages), contents])}"


def content_digest_of(inputs: Any) -> str:
    """Digest of inputs by content and of all code that works on them."""
    return digest_of([_code_digest(Path(__file__).parents[1]), _content_of(inputs)])


@cache
def _code_digest(package: Path) -> str:
    """Digest of a package's files, templates and data too: what older code made is not what the code makes now."""
    files = [path for path in package.rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    return digest_of({path.relative_to(package).as_posix(): sha256_of(path) for path in files})


def _key_in_context(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    return content_key(context.task, parameters)


def _content_of(value: Any) -> Any:
    if isinstance(value, Path):
        raise TypeError(f"{value} is a location: a step is known by what its inputs hold.")
    if isinstance(value, BaseModel):
        if hasattr(value, "content"):
            return value.content
        return {name: _content_of(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(key): _content_of(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_content_of(item) for item in value]
    return value if isinstance(value, (int, float, type(None))) else str(value)


def is_intact(ref: FolderRef) -> bool:
    """Whether a reference still stands for what it was made for; every byte is read."""
    manifest = _manifest_of(ref.path)
    return manifest is not None and content_digest(manifest) == ref.sha256


def _manifest_of(folder: Path) -> Manifest | None:
    """The manifest of a finished folder; None also for one that this user may not read."""
    try:
        return verified_manifest(folder)
    except OSError:
        return None


def _key_file(out: Path) -> Path:
    return out.with_name(f".{out.name}{KEY_SUFFIX}")


def _write_key(out: Path, key: str) -> None:
    """Write the key beside `out`, which one process at a time makes, and remove what a killed one left of it."""
    file = _key_file(out)
    for part in out.parent.glob(f".{file.name}.*.part"):
        part.unlink(missing_ok=True)
    write_text(file, key + "\n")


def _key_at(out: Path) -> str | None:
    """The key of the content that made `out`; None where nobody knows."""
    return _key_file(out).read_text(encoding="utf-8").strip() if _key_file(out).exists() else None


def _set_aside(out: Path, superseded: Path) -> None:
    """Move what stands at `out` to a folder of its own below `superseded`."""
    place = _free_place(out, superseded)
    place.parent.mkdir(parents=True, exist_ok=True)
    out.rename(place)
    get_run_logger().warning("%s was made with other settings or by other code: it stands in %s now.", out, place)


def _free_place(out: Path, superseded: Path) -> Path:
    """Where `out` is kept: below `superseded` as it stood beside it, with a number that is free."""
    beside = superseded.parent
    old = superseded / (out.relative_to(beside) if out.is_relative_to(beside) else out.name)
    number = 1
    while (place := old.with_name(f"{out.name}-{number}")).exists():
        number += 1
    return place


def artifact_key(*words: str) -> str:
    """A name for an artifact: lower case letters, digits and dashes, all that Prefect takes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")


class ProgressArtifact:
    """A bar on Prefect's pages, drawn beside the work: a server that is away must neither end it nor hold it up.

    A client asks a server that is away again for a minute or so. Meanwhile only the newest of what is to be shown
    waits; the end of the bar is waited for, for LAST_SHOWN_S at most.
    """

    def __init__(self, *words: str):
        self._key = artifact_key(*words)
        self._artifact: UUID | None = None
        self._waiting: tuple[float, str] | None = None
        self._teller: Thread | None = None
        self._lock = Lock()

    def show(self, percent: float, description: str) -> None:
        with self._lock:
            self._waiting = (percent, description)
            if self._teller is None:
                # with the context, from which Prefect knows the run
                self._teller = Thread(target=copy_context().run, args=(self._tell,), daemon=True)
                self._teller.start()
            teller = self._teller
        if percent >= WHOLE:
            teller.join(LAST_SHOWN_S)

    def _tell(self) -> None:
        while (told := self._next()) is not None:
            with harmless():
                if self._artifact is None:
                    self._artifact = cast("UUID", create_progress_artifact(told[0], self._key, told[1]))
                else:
                    update_progress_artifact(self._artifact, *told)

    def _next(self) -> tuple[float, str] | None:
        with self._lock:
            told, self._waiting = self._waiting, None
            if told is None:
                self._teller = None
            return told


@contextmanager
def harmless() -> Iterator[None]:
    """What is told to Prefect's server alone may fail; it is said in the log."""
    try:
        yield
    except Exception as error:
        get_run_logger().warning("Prefect's server could not be told how far the work is: %s", error)


@contextmanager
def lines_to(log: Path) -> Iterator[Callable[[str], None]]:
    """A function that writes a child's lines to the run's log file, and to Prefect's log as many as can be read."""
    log.parent.mkdir(parents=True, exist_ok=True)
    logger = get_run_logger()
    limit = LineLimit(lambda line: logger.info("%s", line), str(log))
    # line by line: people follow the file
    with closing(limit), log.open("a", encoding="utf-8", buffering=1) as file:

        def write(line: str) -> None:
            file.write(line + "\n")
            limit.hear(line)

        yield write
