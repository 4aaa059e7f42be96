"""Rows as a pandas DataFrame; pandas is imported when the first one is built."""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from tasks.errors import ConfigError

if TYPE_CHECKING:
    from pandas import DataFrame


def require_pandas() -> ModuleType:
    """The package pandas; raises ConfigError if it is not installed."""
    try:
        return import_module("pandas")
    except ImportError:
        raise ConfigError("Tables need pandas: `pip install 'rsvlm[notebook]'`.") from None


def table_of(rows: Iterable[Mapping[str, object]], columns: Sequence[str] = ()) -> "DataFrame":
    """Rows as a DataFrame; `columns` come first, and are there even without rows."""
    found = require_pandas().DataFrame(list(rows))
    others = [column for column in found.columns if column not in columns]
    return found.reindex(columns=[*columns, *others])
