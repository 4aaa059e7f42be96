"""One process at a time owns a run, and one at a time creates what all runs share.

The locks are the kernel's (flock): they are released when their process ends for any reason, so that the lock of a
dead owner is free. The file names the holder. Over NFS this needs Linux 2.6.12 or later on all machines.
"""

import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from io import FileIO
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import ValidationError

from tasks.errors import RunOwned
from tasks.paths import RunFolder
from tasks.processes import INHERITED_FDS
from tasks.records import Value
from tasks.storage.outcome import recording_outcome

Notify = Callable[[str], None]
# roles of this context in run folders; the flows that a flow calls, and their tasks, inherit them
_ROLES: ContextVar[Mapping[Path, Literal["owner", "guest"]]] = ContextVar("roles", default=MappingProxyType({}))


class Owner(Value):
    """The process that holds a lock."""

    user: str
    host: str
    pid: int
    since: str
    flow_run: str | None = None
    flow_run_id: str | None = None

    def __str__(self) -> str:
        flow_run = f", flow run {self.flow_run}" if self.flow_run else ""
        return f"{self.user} on {self.host} (process {self.pid}{flow_run}, since {self.since})"


@contextmanager
def owned(folder: RunFolder, owner: Owner, notify: Notify, machine: int = 0) -> Iterator[None]:
    """Own a run while the block runs; everything that the block calls owns it too.

    Raises RunOwned if another process owns it. `notify` gets a message about a dead owner whose lock is taken over,
    and about processes that the block waits for: running children of a dead owner, and an earlier process of the same
    flow run. The machines of one training own the run together, each with its number.
    """
    if folder.root in _ROLES.get():
        yield
        return
    with ExitStack() as stack:
        file = stack.enter_context(_opened(folder.owner_lock(machine)))
        if not _try_lock(file):
            _require_same_flow_run(folder, owner, _holder(file))
            notify(f"An earlier process of this flow run, {_holder(file)}, has not ended: waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        if dead := _holder(file):
            notify(f"The last owner of {folder.root}, {dead}, did not end properly: this run continues from there.")
        stack.enter_context(_signed(file, owner))
        # children hold this lock but not the other, which shows whether the owner itself is alive
        stack.enter_context(hold_lock(folder.children_lock(machine), owner, notify))
        stack.enter_context(_role(folder, "owner"))
        if machine == 0:
            stack.enter_context(recording_outcome(folder))
        yield


@contextmanager
def as_guest(folder: RunFolder) -> Iterator[None]:
    """Work in a run's folder while another process owns it: the block does not change the run's settings."""
    with _role(folder, "guest"):
        yield


def is_guest(folder: RunFolder) -> bool:
    """Whether this context works in a run that another process owns."""
    return _ROLES.get().get(folder.root) == "guest"


def owner_state(folder: RunFolder) -> Literal["alive", "dead"] | None:
    """Whether the process that owns the run is alive or was killed; None if no process owns it. Nothing is written.

    A lock that names nobody is not touched: a process that is about to own the run must find it free.
    """
    try:
        with folder.owner_lock().open("rb", buffering=0) as file:
            if _holder(file) is None:
                return None
            # shared, which NFS grants to a file that is open for reading
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "alive"
    except OSError:
        return None
    return "dead"


def require_not_owned(folder: RunFolder, machine: int = 0) -> None:
    """Raise RunOwned if a process owns the run; nothing is written."""
    lock = folder.owner_lock(machine)
    if not lock.is_file():
        return
    with _opened(lock) as file:
        if not _try_lock(file):
            raise _refusal(folder, _holder(file))


@contextmanager
def hold_lock(lock: Path, owner: Owner, notify: Notify) -> Iterator[None]:
    """Wait until `lock` is free and hold it while the block runs.

    Children that the block starts hold it as well: it is free when the last of them has ended.
    """
    with _opened(lock) as file:
        if not _try_lock(file):
            notify(f"Waiting for {_holder(file) or 'another process'}, or its children, to leave {lock.parent}.")
            fcntl.flock(file, fcntl.LOCK_EX)
        before = INHERITED_FDS.set((*INHERITED_FDS.get(), file.fileno()))
        try:
            with _signed(file, owner):
                yield
        finally:
            INHERITED_FDS.reset(before)


@contextmanager
def _role(folder: RunFolder, role: Literal["owner", "guest"]) -> Iterator[None]:
    before = _ROLES.set({**_ROLES.get(), folder.root: role})
    try:
        yield
    finally:
        _ROLES.reset(before)


def _opened(lock: Path) -> FileIO:
    lock.parent.mkdir(parents=True, exist_ok=True)
    # writable: NFS locks no read-only file exclusively; never deleted, or two processes could lock different files
    return lock.open("a+b", buffering=0)


def _try_lock(file: FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: FileIO) -> Owner | None:
    """The process named in a lock file; None if there is none or its name is not completely written yet."""
    file.seek(0)
    try:
        return Owner.model_validate_json(file.read())
    except ValidationError:
        return None


@contextmanager
def _signed(file: FileIO, owner: Owner) -> Iterator[None]:
    file.truncate(0)
    file.write(owner.model_dump_json().encode())
    file.flush()
    try:
        yield
    finally:
        file.truncate(0)


def _require_same_flow_run(folder: RunFolder, owner: Owner, holder: Owner | None) -> None:
    """Raise RunOwned unless the holder is the same flow run, which Prefect restarts when it loses contact with it."""
    if holder is None or holder.flow_run_id is None or holder.flow_run_id != owner.flow_run_id:
        raise _refusal(folder, holder)


def _refusal(folder: RunFolder, holder: Owner | None) -> RunOwned:
    return RunOwned(
        f"The run {folder.root.name} in {folder.root.parents[1]} is owned by {holder or 'another process'}: "
        "wait until it ends, or give this run another name."
    )
