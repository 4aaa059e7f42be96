"""The error tree: what the user can mend ends with exit code 2, all else with 1 and a traceback."""


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


class StoreError(UserError):
    """Object storage cannot be reached, refuses, or holds something that is not whole."""


class TrainingError(UserError):
    """Training ended without a model; the message carries the child's last lines and what to do."""


class TrainingStopped(TrainingError):
    """Training was asked to stop, has saved, and can be gone on with."""
