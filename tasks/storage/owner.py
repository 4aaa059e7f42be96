"""A run has one owner at a time, and what all runs share is made by one at a time.

The locks are the kernel's (flock): they end with the process that holds them, however that ends, so that the lock of a
dead owner is free. The file says who holds it. Over NFS this needs Linux on all sides, 2.6.12 or later.
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

from tasks.errors import UserError
from tasks.paths import RunFolder
from tasks.processes import HANDED_DOWN
from tasks.records import Value

Tell = Callable[[str], None]
# the run folders that this context works in; the flows that a flow calls, and their tasks, inherit it
_ROLES: ContextVar[Mapping[Path, Literal["owner", "guest"]]] = ContextVar("roles", default=MappingProxyType({}))


class RunOwned(UserError):
    """Another process owns the run."""


class Owner(Value):
    """Who holds a lock."""

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
def owned(folder: RunFolder, owner: Owner, tell: Tell, machine: int = 0) -> Iterator[None]:
    """Own a run while the block runs; what the block calls owns it too.

    Raises RunOwned when another process does. `tell` is told of a dead owner whose lock is taken over, and of whom the
    block waits for: the processes that a dead owner has started and that have not ended yet, and an earlier process of
    the same flow run. The machines of one training own the run together, each by its number.
    """
    if folder.root in _ROLES.get():
        yield
        return
    with ExitStack() as stack:
        file = stack.enter_context(_opened(folder.owner_lock(machine)))
        if not _try_lock(file):
            _require_same_flow_run(folder, owner, _holder(file))
            tell(f"An earlier process of this flow run, {_holder(file)}, has not ended: waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        if dead := _holder(file):
            tell(f"The last owner of {folder.root}, {dead}, ended without saying so: this run goes on from there.")
        stack.enter_context(_signed(file, owner))
        # children hold this one and not the other, which tells whether the owner itself is alive
        stack.enter_context(hold_lock(folder.children_lock(machine), owner, tell))
        stack.enter_context(_role(folder, "owner"))
        yield


@contextmanager
def beside_owner(folder: RunFolder) -> Iterator[None]:
    """Work in a run's folder beside its owner: what the block calls leaves the run's settings as they are."""
    with _role(folder, "guest"):
        yield


def is_guest(folder: RunFolder) -> bool:
    """Whether this context works beside the owner of a run."""
    return _ROLES.get().get(folder.root) == "guest"


def require_not_owned(folder: RunFolder, machine: int = 0) -> None:
    """Raise RunOwned when a process owns the run; nothing is written."""
    lock = folder.owner_lock(machine)
    if not lock.is_file():
        return
    with _opened(lock) as file:
        if not _try_lock(file):
            raise _refusal(folder, _holder(file))


@contextmanager
def hold_lock(lock: Path, owner: Owner, tell: Tell) -> Iterator[None]:
    """Wait for whoever holds `lock`, and hold it while the block runs.

    The children that the block starts hold it as well: it is free when the last of them has ended.
    """
    with _opened(lock) as file:
        if not _try_lock(file):
            tell(f"Waiting for {_holder(file) or 'another process'}, or what it has started, to leave {lock.parent}.")
            fcntl.flock(file, fcntl.LOCK_EX)
        before = HANDED_DOWN.set((*HANDED_DOWN.get(), file.fileno()))
        try:
            with _signed(file, owner):
                yield
        finally:
            HANDED_DOWN.reset(before)


@contextmanager
def _role(folder: RunFolder, role: Literal["owner", "guest"]) -> Iterator[None]:
    before = _ROLES.set({**_ROLES.get(), folder.root: role})
    try:
        yield
    finally:
        _ROLES.reset(before)


def _opened(lock: Path) -> FileIO:
    lock.parent.mkdir(parents=True, exist_ok=True)
    # for writing: NFS gives an exclusive lock to no reader; the file stays, or two could lock two files of one name
    return lock.open("a+b", buffering=0)


def _try_lock(file: FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: FileIO) -> Owner | None:
    """Who has signed a lock file; None where nobody has, or has not yet written it all."""
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
    """Prefect starts a flow run again that it has not heard of: that one waits for itself, any other is refused."""
    if holder is None or holder.flow_run_id is None or holder.flow_run_id != owner.flow_run_id:
        raise _refusal(folder, holder)


def _refusal(folder: RunFolder, holder: Owner | None) -> RunOwned:
    return RunOwned(
        f"The run {folder.root.name} in {folder.root.parents[1]} is owned by {holder or 'another process'}: "
        "wait for its end, or give this run another name."
    )
