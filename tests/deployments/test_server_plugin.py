"""A server on SQLite closes the cursors of failed statements, which would otherwise stop it now and then."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from deployments import server_plugin
from flows.embedded import PLUGIN

LOADED = "import sys; sys.argv[:] = {argv}; import prefect, aiosqlite; print(aiosqlite.Cursor.execute.__module__)"
# A transaction that has read before another one wrote may not write: the statement fails, and its error is kept. The
# connection then waits for a third transaction, in a thread of its own, and the error is dropped meanwhile.
WAITING = """
import asyncio, gc, sqlite3, sys, time
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from deployments import server_plugin

if sys.argv[2] == "with":
    server_plugin.close_failed_cursors()
PATH, WAIT_S = sys.argv[1], 5

async def fail(connection, others):
    await connection.exec_driver_sql("begin")
    await connection.exec_driver_sql("select * from numbers")
    others.execute("insert into numbers values (1)")
    try:
        await connection.exec_driver_sql("insert into numbers values (2)")
    except OperationalError as error:
        await connection.exec_driver_sql("rollback")
        return error

async def main():
    others = sqlite3.connect(PATH, isolation_level=None)
    others.execute("pragma journal_mode = wal")
    others.execute("create table numbers (number)")
    engine = create_async_engine("sqlite+aiosqlite:///" + PATH, connect_args={"timeout": WAIT_S})
    async with engine.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        errors = [await fail(connection, others)]
        assert "locked" in str(errors[0])
        others.execute("begin immediate")
        waiting = asyncio.create_task(connection.exec_driver_sql("begin immediate"))
        await asyncio.sleep(0.5)
        errors.clear()
        gc.collect()
        others.execute("commit")
        try:
            await waiting
            print("written")
        except OperationalError as error:
            print(error.orig)
    await engine.dispose()

asyncio.run(main())
"""


def run(program: str, *arguments: str, **env: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], env=kept | env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(("plugin", "outcome"), [("with", "written"), ("without", "database is locked")])
def test_a_connection_that_waits_does_not_stop_the_transaction_that_it_waits_for(
    plugin: str, outcome: str, tmp_path: Path
) -> None:
    assert run(WAITING, str(tmp_path / "database"), plugin) == outcome


@pytest.mark.parametrize("argv", [["prefect", "server", "start"], ["uvicorn", server_plugin.APPLICATION]])
def test_the_plugin_works_in_a_server(argv: list[str]) -> None:
    assert run(LOADED.format(argv=argv), **PLUGIN) == server_plugin.__name__


@pytest.mark.parametrize("argv", [["prefect", "worker", "start"], ["rsvlm", "run", "demo"]])
def test_the_plugin_does_nothing_elsewhere(argv: list[str]) -> None:
    assert run(LOADED.format(argv=argv), **PLUGIN) == "aiosqlite.cursor"


def test_prefect_finds_the_plugin() -> None:
    (plugin,) = entry_points(group="prefect.plugins", name=PLUGIN["PREFECT_PLUGINS_ALLOW"])
    assert plugin.load() is server_plugin
