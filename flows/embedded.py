"""Prefect as rsvlm wants it where nobody has configured it: an embedded server, and no traceback for the user's errors.

Import this before prefect: it reads its settings when it is imported.
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

from tasks.errors import ConfigError, told_to_user
from tasks.interrupting import handle_signals, sigint_blocked, stop_requested
from tasks.processes import kill_children

if TYPE_CHECKING:
    from prefect.server.api.server import SubprocessASGIServer

DEFAULTS = {
    # a fresh database takes 18 to 23 s on two cores, and Prefect's own limit is 20
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
STOP_S = 2
# httpx's own limit, which Prefect leaves as it is
REQUEST_S = 5
# after this a user who waits is told for what
SLOW_S = 8
# reads to the end of a pipe that nobody writes to: it ends with the process that holds its other side
WATCHER = "import os, signal, sys; sys.stdin.read(); os.kill(int(sys.argv[1]), signal.SIGTERM)"
RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


def prepare_prefect() -> None:
    """Set what the user has not set, and take tracebacks out of messages that the user can mend."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    # on the loggers: Prefect adds its handlers later, when it is imported and when a run begins
    for name in RUN_LOGGERS:
        logging.getLogger(name).addFilter(_as_told)


def open_prefect() -> None:
    """For a command that runs flows: see that its server answers, or start one; Ctrl-C then ends all in order."""
    from flows.server import is_configured, require_configured_server

    prepare_prefect()
    require_configured_server()
    if is_configured():
        handle_signals(kill_children)
    else:
        _start_server()


def _start_server() -> None:
    """Start Prefect's embedded server so that a terminal's Ctrl-C does not end it before the flows that need it."""
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

    # in a thread, so that this one still hears Ctrl-C
    starting = Thread(target=start, daemon=True)
    starting.start()
    try:
        _wait_for_process(server, starting)
        _end_with_us(server)
        starting.join(SLOW_S)
        if starting.is_alive():
            print("Prefect's own server is starting ...", file=sys.stderr)
        starting.join()
    finally:
        # its process is known to the interpreter's end from then on
        _wait_for_process(server, starting)
    if failed:
        raise as_sentence(failed[0])
    # before Prefect's own end of it, which waits five seconds
    atexit.register(_end_soon, server)


def as_sentence(error: Exception) -> Exception:
    """What a user is told of a server that was too slow to start; any other error as it is."""
    import httpx

    # the server is there, and too busy for one request
    busy = isinstance(error, httpx.TimeoutException)
    if not busy and "Timed out" not in str(error):
        return error
    limit_s = REQUEST_S if busy else os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"]
    return ConfigError(
        f"Prefect's own server, which rsvlm starts where none is configured, did not answer within {limit_s} s: the "
        "machine is busy, or its database in PREFECT_HOME cannot be used. Try again, or use a server of your own."
    )


def _wait_for_process(server: "SubprocessASGIServer", starting: Thread) -> None:
    while starting.is_alive() and server.server_process is None:
        time.sleep(0.01)


def _end_with_us(server: "SubprocessASGIServer") -> None:
    """Have the server ended when this process has gone, however that ends: one that is killed ends nothing itself."""
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
    # held open until then
    atexit.register(watcher.stdin.close)


def _end_soon(server: "SubprocessASGIServer") -> None:
    """After Ctrl-C, end the server within STOP_S."""
    if stop_requested() and server.server_process is not None:
        server.server_process.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.server_process.wait(STOP_S)
            return
        server.server_process.kill()


def _as_told(record: logging.LogRecord) -> bool:
    """Whether a record is shown: after Ctrl-C no crash, as nothing has crashed; a user's error has no traceback."""
    if stop_requested() and (record.levelno >= logging.ERROR or "Crashed(" in record.getMessage()):
        return False
    error = record.exc_info[1] if record.exc_info else None
    if told_to_user(error):
        record.exc_info = record.exc_text = None
    return True
