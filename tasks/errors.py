"""The error tree: what the user can mend ends with exit code 2, all else with 1 and a traceback."""

import errno
import os


class RsvlmError(Exception):
    """Anything that rsvlm itself reports."""


class UserError(RsvlmError):
    """Something the user can mend; the message says what happened and what to do."""


class ConfigError(UserError):
    """The configuration is wrong: an unknown key, a value out of bounds, an unknown preset."""


class DataError(UserError):
    """A data file, a record or an image is missing or not what it should be."""


class ModelError(UserError):
    """A model, adapter or checkpoint directory is missing, incomplete or of another kind."""


class OccupiedError(UserError):
    """A folder holds something else than what is to be made there: a person gives another, a run sets it aside."""


class StoreError(UserError):
    """Object storage cannot be reached, refuses, or holds something that is not whole."""


class TrainingError(UserError):
    """Training ended without a model; the message carries the child's last lines and what to do."""


class RunStopped(UserError):
    """Somebody has ended a run: it is no failure, and it can be gone on with."""


class TrainingStopped(TrainingError, RunStopped):
    """Training was asked to stop and can be gone on with."""


SHOWN_CHARACTERS = 200


def shortened(value: object) -> str:
    """A value from a file as a message shows it: on one line and not without end."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


PATH = "give another path"
RIGHTS = "get the rights for it, or give another path"
ROOM = "make room there, or give another path"
# what a wrong path, missing rights or a full disk lead to; all other errors of the system are ours
WAYS_OUT = {
    errno.EACCES: RIGHTS,
    errno.EPERM: RIGHTS,
    errno.EROFS: RIGHTS,
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EEXIST: PATH,
    errno.EISDIR: PATH,
    errno.ELOOP: PATH,
    errno.ENAMETOOLONG: PATH,
    errno.ENOTDIR: PATH,
}


def user_error(kind: str, message: str) -> UserError:
    """The error of this class name, as a child process tells of it; a plain UserError for any other name."""
    found = globals().get(kind)
    return found(message) if isinstance(found, type) and issubclass(found, UserError) else UserError(message)


def user_message(error: BaseException | None) -> str | None:
    """What the user is told instead of a traceback; None where there is nothing that the user can mend."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno in WAYS_OUT:
        # of a renaming the second is what was asked for; writing to an open file does not say which
        name = error.filename2 or error.filename
        place = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else "A file"
        return f"{place} cannot be read or written ({os.strerror(error.errno)}): {WAYS_OUT[error.errno]}."
    return None
