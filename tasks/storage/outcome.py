"""How the last work on a run ended, in a file of its folder: Prefect's server may be gone when somebody asks."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from pydantic import ValidationError

from tasks.errors import RunStopped, user_message
from tasks.files import read_json_object, write_json
from tasks.interrupting import stop_requested
from tasks.paths import RunFolder
from tasks.records import Value

Ended = Literal["complete", "failed", "interrupted"]


class Outcome(Value):
    """The end of the last work on a run; `message` says why it failed."""

    state: Ended
    message: str | None = None


@contextmanager
def recording_outcome(folder: RunFolder) -> Iterator[None]:
    """Write the run's outcome when the block ends; a process that is killed leaves that of the work before."""
    try:
        yield
    except BaseException as error:
        # after Ctrl-C, a slow server may return the state of a stopped part as an error of its own
        if stop_requested() or isinstance(error, (KeyboardInterrupt, RunStopped)):
            _write(folder, Outcome(state="interrupted"))
        else:
            _write(folder, Outcome(state="failed", message=user_message(error) or f"{type(error).__name__}: {error}"))
        raise
    _write(folder, Outcome(state="complete"))


def _write(folder: RunFolder, outcome: Outcome) -> None:
    # a full disk must not hide how the work ended
    with suppress(OSError):
        write_json(folder.outcome, outcome.model_dump(mode="json"))


def read_outcome(folder: RunFolder) -> Outcome | None:
    """The outcome of the last work that ended; None if there is none, as in runs of earlier versions."""
    try:
        return Outcome.model_validate(read_json_object(folder.outcome))
    except (OSError, ValidationError):
        return None
