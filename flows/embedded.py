"""Prefect's embedded server, its default settings, and log records of user errors without a traceback.

Call `prepare_prefect` before importing prefect, which reads its settings on import.
"""

import atexit
import logging
import os
import subprocess
import sys
import time
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

from tasks.errors import ConfigError, user_message
from tasks.interrupting import handle_signals, sigint_blocked, stop_requested
from tasks.processes import kill_children

if TYPE_CHECKING:
    from prefect.server.api.server import SubprocessASGIServer

DEFAULTS = {
    # creating the database takes 18 to 23 s on two cores; Prefect's own limit is 20 s
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
# seconds to wait for the server to stop after Ctrl-C
STOP_S = 2
# httpx's default timeout in seconds, which Prefect keeps
REQUEST_S = 5
# seconds after which the user sees what the command is waiting for
SLOW_S = 8
# blocks on a pipe that nobody writes to, until the process that holds its other end is gone
WATCHER = "import os, signal, sys; sys.stdin.read(); os.kill(int(sys.argv[1]), signal.SIGTERM)"
RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


def prepare_prefect() -> None:
    """Set defaults where the user has set nothing, and remove tracebacks of user errors from Prefect's log."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    # on the loggers: Prefect adds its handlers later, on import and when a run begins
    for name in RUN_LOGGERS:
        logging.getLogger(name).addFilter(_filter_record)


def open_prefect() -> None:
    """Prepare a command that runs flows: check its server or start one, and handle Ctrl-C."""
    from flows.server import is_configured, require_configured_server

    prepare_prefect()
    require_configured_server()
    if is_configured():
        handle_signals(kill_children)
    else:
        _start_server()


def _start_server() -> None:
    """Start Prefect's embedded server, shielded from the terminal's Ctrl-C until the flows have ended."""
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer()

    def kill() -> None:
        if server.server_process is not None:
            server.server_process.kill()

    handle_signals(kill_children, kill)
    failed: list[Exception] = []

    def start() -> None:
        try:
            with sigint_blocked():
                server.start()
        except Exception as error:
            failed.append(error)

    # in a thread, so that the main thread still handles Ctrl-C
    starting = Thread(target=start, daemon=True)
    starting.start()
    try:
        _wait_for_process(server, starting)
        _stop_when_we_die(server)
        starting.join(SLOW_S)
        if starting.is_alive():
            print("Starting Prefect's embedded server ...", file=sys.stderr)
        starting.join()
    finally:
        # once its process exists, Prefect's own atexit handler can stop it
        _wait_for_process(server, starting)
    if failed:
        raise startup_error(failed[0])
    # before Prefect's own handler, which waits five seconds
    atexit.register(_stop_after_interrupt, server)


def startup_error(error: Exception) -> Exception:
    """A ConfigError for a server that was too slow to start; any other error unchanged."""
    import httpx

    # the server has started and is too busy to answer a request
    busy = isinstance(error, httpx.TimeoutException)
    if not busy and "Timed out" not in str(error):
        return error
    limit_s = REQUEST_S if busy else os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"]
    return ConfigError(
        f"Prefect's embedded server, which rsvlm starts if none is configured, did not answer within {limit_s} s: the "
        "machine is busy, or the database in PREFECT_HOME cannot be used. Try again, or use a server of your own."
    )


def _wait_for_process(server: "SubprocessASGIServer", starting: Thread) -> None:
    while starting.is_alive() and server.server_process is None:
        time.sleep(0.01)


def _stop_when_we_die(server: "SubprocessASGIServer") -> None:
    """Start a watcher that stops the server when this process ends, even if it is killed."""
    if server.server_process is None:
        return
    watcher = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
        [sys.executable, "-I", "-S", "-c", WATCHER, str(server.server_process.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        start_new_session=True,
    )
    assert watcher.stdin is not None
    # keep the pipe open until this process ends
    atexit.register(watcher.stdin.close)


def _stop_after_interrupt(server: "SubprocessASGIServer") -> None:
    """After Ctrl-C, stop the server within STOP_S seconds."""
    if stop_requested() and server.server_process is not None:
        server.server_process.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.server_process.wait(STOP_S)
            return
        server.server_process.kill()


def _filter_record(record: logging.LogRecord) -> bool:
    """Remove the traceback of a user error; drop crash records after Ctrl-C, since nothing has crashed."""
    if stop_requested() and (record.levelno >= logging.ERROR or "Crashed(" in record.getMessage()):
        return False
    error = record.exc_info[1] if record.exc_info else None
    if user_message(error):
        record.exc_info = record.exc_text = None
    return True
