"""All errors of rsvlm.

The command line prints a UserError as one sentence and exits with 2; any other error is a bug, which exits with 1 and
a traceback.

* RsvlmError
  x ProcessFailed            a child process failed
  + UserError                the user can fix it; the message says what happened and what to do
    - ConfigError            a setting or argument
    - DataError              a data file, record or image
      . FetchError           a download; another URL may work
      . ByHandNeeded         sources that need a manual download (in tasks/data/fetching, whose values it carries)
      . NoRoomError          a full disk while unpacking
      . TooLargeError        an image beyond the limits
    - ModelError             a model, adapter or checkpoint directory
    - OccupiedError          an output folder with other content
    - StoreError             object storage
      . DamagedManifest      a manifest in the store
    - RunOwned               a run that another process owns
    - TrainingError          a training that ended without a model
      . TrainingStopped      (also a RunStopped)
    - RunStopped             a run that was cancelled and can be resumed
* KeyboardInterrupt
  + Interrupted              the first Ctrl-C; the command exits with 130
"""

import errno
import os
from collections.abc import Sequence
from pathlib import Path


class RsvlmError(Exception):
    """Base class of all errors that rsvlm raises."""


class ProcessFailed(RsvlmError):
    """A child process exited with a code other than 0; `lines` are the last lines of its output."""

    def __init__(self, command: Sequence[str], code: int, lines: Sequence[str]):
        self.code, self.lines = code, list(lines)
        super().__init__(f"{' '.join(command)} ended with {code}; its last lines:\n" + "\n".join(lines))


class UserError(RsvlmError):
    """An error that the user can fix; the message says what happened and what to do."""


class ConfigError(UserError):
    """The configuration is wrong: an unknown key, a value out of bounds, an unknown preset."""


class DataError(UserError):
    """A data file, a record or an image is missing or malformed."""


class FetchError(DataError):
    """A file cannot be downloaded from this URL; another URL may work."""


class NoRoomError(DataError):
    """The disk is full while unpacking an intact archive."""


class TooLargeError(DataError):
    """An image is beyond the limits; `reason` continues the sentence after its name and says what to do."""

    def __init__(self, name: str | Path, reason: str):
        super().__init__(f"{name} {reason}")
        self.reason = reason


class ModelError(UserError):
    """A model, adapter or checkpoint directory is missing, incomplete or of another kind."""


class OccupiedError(UserError):
    """An output folder has other content: a command needs another folder, a run moves the content aside."""


class StoreError(UserError):
    """Object storage cannot be reached, refuses access, or holds an incomplete folder."""


class DamagedManifest(StoreError):
    """A manifest in the store is damaged; other folders of the store are not affected."""


class RunOwned(UserError):
    """Another process owns the run."""


class TrainingError(UserError):
    """Training ended without a model; the message has the worker's last lines and what to do."""


class RunStopped(UserError):
    """A run was cancelled; it can be resumed."""


class TrainingStopped(TrainingError, RunStopped):
    """Training was cancelled; it can be resumed."""


class Interrupted(KeyboardInterrupt):
    """The first Ctrl-C, raised in the main thread; a message, if any, is for the user."""


SHOWN_CHARACTERS = 200


def shortened(value: object) -> str:
    """A value from a file for a message: on one line, at most SHOWN_CHARACTERS characters."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


OTHER_PATH = "give another path"
PERMISSIONS = "get the permissions, or give another path"
SPACE = "free some space, or give another path"
# a wrong path, missing permissions or a full disk: the user can fix these; any other OSError is a bug
REMEDIES = {
    errno.EACCES: PERMISSIONS,
    errno.EPERM: PERMISSIONS,
    errno.EROFS: PERMISSIONS,
    errno.ENOSPC: SPACE,
    errno.EDQUOT: SPACE,
    errno.EEXIST: OTHER_PATH,
    errno.EISDIR: OTHER_PATH,
    errno.ELOOP: OTHER_PATH,
    errno.ENAMETOOLONG: OTHER_PATH,
    errno.ENOTDIR: OTHER_PATH,
}


def user_error(kind: str, message: str) -> UserError:
    """Rebuild the UserError that a child process reported by class name and message.

    A class whose constructor takes more than a message is replaced by its base class, an unknown one by UserError.
    """
    found = globals().get(kind)
    if not (isinstance(found, type) and issubclass(found, UserError)):
        return UserError(message)
    plain: type[UserError] = next(base for base in found.__mro__ if "__init__" not in vars(base))
    return plain(message)


def user_message(error: BaseException | None) -> str | None:
    """The sentence to print instead of a traceback, or None if the user cannot fix the error."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno in REMEDIES:
        # a rename has two names, and the second is the requested one; a write to an open file has none
        name = error.filename2 or error.filename
        path = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else "A file"
        return f"{path} cannot be read or written ({os.strerror(error.errno)}): {REMEDIES[error.errno]}."
    return None
