"""Prefect's plugin for a server on SQLite: a cursor is closed when its statement has failed.

A statement of SQLite holds its connection's lock while it waits for another transaction, for up to a minute. A cursor
whose statement has failed stays open, and lives in the traceback of the error until Python collects it, most often in
the server's main thread. If its connection waits at that time, the main thread waits for the lock, and with it the
transaction that the connection waits for: the whole server stands still until the minute is over.
Seen with Prefect 3.8, SQLAlchemy 2.0 and aiosqlite 0.22.
"""

import sqlite3
import sys
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any

from prefect.plugins import HookContext, register_hook

if TYPE_CHECKING:
    from aiosqlite import Cursor

APPLICATION = "prefect.server.api.server:create_app"
Execute = Callable[..., Coroutine[Any, Any, "Cursor"]]


@register_hook
def setup_environment(*, ctx: HookContext) -> None:
    """Prefect's hook, called when Prefect is imported where plugins are enabled; does nothing outside a server."""
    if sys.argv[1:3] == ["server", "start"] or APPLICATION in sys.argv:
        close_failed_cursors()


def close_failed_cursors() -> None:
    """From now on aiosqlite closes a cursor whose statement has failed, in the thread of its connection."""
    from aiosqlite import Cursor

    Cursor.execute = _closing(Cursor.execute)  # type: ignore[method-assign]
    Cursor.executemany = _closing(Cursor.executemany)  # type: ignore[method-assign]


def _closing(execute: Execute) -> Execute:
    @wraps(execute, assigned=("__name__", "__doc__"))
    async def closing(cursor: "Cursor", *args: Any) -> "Cursor":
        try:
            return await execute(cursor, *args)
        except sqlite3.Error:
            await cursor.close()
            raise

    return closing
