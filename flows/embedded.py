"""Prefect's embedded server, its default settings, and log records of user errors without a traceback.

`prepare_prefect` is best called before Prefect is imported, which reads its settings then.
"""

import atexit
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread, main_thread
from typing import TYPE_CHECKING

from tasks.errors import ConfigError, user_message
from tasks.interrupting import handle_signals, sigint_blocked, stop_requested
from tasks.processes import kill_children
from tasks.progress import note

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
# reads the server's number from a pipe, and waits until the process that holds the other end is gone
WATCHER = "import os, signal, sys; pid = sys.stdin.read(); pid and os.kill(int(pid), signal.SIGTERM)"
RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
# report that the server cannot be reached
CONNECTION_LOGGERS = ("prefect.events.clients", "prefect._internal.concurrency")


def prepare_prefect() -> None:
    """Set defaults where the user has set nothing, and remove tracebacks of user errors from Prefect's log."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context

        # it has read its settings when it was imported
        refresh_global_settings_context()
    # on the loggers: Prefect adds its handlers later, on import and when a run begins
    for name in RUN_LOGGERS:
        logging.getLogger(name).addFilter(_filter_record)


def open_prefect() -> None:
    """Prepare Prefect for a command: check the configured server, or start the embedded one if none is configured."""
    check_server()
    start_prefect()


def check_server() -> None:
    """Raise ConfigError if a server is configured and does not answer; writes nothing."""
    from flows.server import require_configured_server

    prepare_prefect()
    require_configured_server()


def start_prefect(is_command: bool = True) -> None:
    """Start the embedded server if none is configured; `check_server` comes before.

    A command also handles Ctrl-C; in a program or a notebook of the user's, Python does.
    """
    from flows.server import is_configured

    if is_configured():
        if is_command:
            handle_signals(kill_children)
        return
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer()
    if is_command:
        handle_signals(kill_children, lambda: _kill(server))
    if not server.running:
        _start(server)
        if is_command:
            # the main thread, which may wait for a line of a child, must get each Ctrl-C
            with sigint_blocked():
                Thread(target=_live_without, args=(server,), daemon=True).start()


def _live_without(server: "SubprocessASGIServer") -> None:
    """Wait for the server's end; from then on Prefect's client repeats no request and does not report that it cannot.

    SIGTERM to a whole process group, as `timeout` and batch systems send it, ends the server first. Prefect would try
    for minutes to tell it that the run was cancelled.
    """
    if server.server_process is None:
        return
    server.server_process.wait()
    # at the end of this process nothing is told any more
    if main_thread().is_alive():
        from prefect.context import refresh_global_settings_context

        os.environ["PREFECT_CLIENT_MAX_RETRIES"] = "0"
        refresh_global_settings_context()
        for name in CONNECTION_LOGGERS:
            logging.getLogger(name).disabled = True
        # nor that records could not be sent
        logging.raiseExceptions = False


def _kill(server: "SubprocessASGIServer") -> None:
    if server.server_process is not None:
        server.server_process.kill()


def _start(server: "SubprocessASGIServer") -> None:
    """Start Prefect's embedded server, shielded from the terminal's Ctrl-C until the flows have ended."""
    failed: list[Exception] = []

    def start() -> None:
        try:
            with sigint_blocked():
                server.start()
        except Exception as error:
            failed.append(error)

    # first, so that the server is not without it while it starts
    tell_watcher = _start_watcher()
    # in a thread, so that the main thread still handles Ctrl-C
    starting = Thread(target=start, daemon=True)
    starting.start()
    try:
        _wait_for_process(server, starting)
        if server.server_process is not None:
            tell_watcher(server.server_process.pid)
        starting.join(SLOW_S)
        if starting.is_alive():
            note("Starting Prefect's embedded server ...")
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


def _start_watcher() -> Callable[[int], None]:
    """Start a watcher, and return a function for the server's number.

    The watcher stops the server when this process ends, even if it is killed.
    """
    watcher = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
        [sys.executable, "-I", "-S", "-c", WATCHER],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        start_new_session=True,
        bufsize=0,
    )
    pipe = watcher.stdin
    assert pipe is not None
    # keep the pipe open until this process ends
    atexit.register(pipe.close)

    def tell(pid: int) -> None:
        pipe.write(str(pid).encode())

    return tell


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
