"""Prefect's embedded server, its default settings, and log records of user errors without a traceback.

`prepare_prefect` is best called before Prefect is imported, which reads its settings then.
"""

import atexit
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from threading import Lock, Thread, main_thread
from typing import TYPE_CHECKING

from tasks.errors import ConfigError, user_message
from tasks.interrupting import handle_signals, sigint_blocked, stop_requested
from tasks.processes import kill_children
from tasks.progress import note

if TYPE_CHECKING:
    import httpx

SERVER = "prefect.server.api.server"
DEFAULTS = {
    # creating the database takes 18 to 23 s on two cores; Prefect's own limit is 20 s
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
# seconds to wait for the server to stop after Ctrl-C
STOP_S = 2
# what makes Prefect's server an embedded one, as Prefect itself sets it: without pages, with a few services only
EMBEDDED = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
# rsvlm's plugin for a server, deployments/server_plugin.py, unless the user has settings for plugins
PLUGIN = {"PREFECT_PLUGINS_ENABLED": "true", "PREFECT_PLUGINS_ALLOW": "rsvlm"}
# seconds that the starting server has for each answer, and between two questions
REQUEST_S, ASK_EVERY_S = 5, 0.1
# seconds after which the user sees what the command is waiting for
SLOW_S = 8
# reads the server's number from a pipe, and waits until the process that holds the other end is gone
WATCHER = "import os, signal, sys; pid = sys.stdin.read(); pid and os.kill(int(pid), signal.SIGTERM)"
REMEDY = "the machine is busy, or the database in PREFECT_HOME cannot be used. Try again, or use a server of your own."
ENDED = f"Prefect's embedded server, which rsvlm starts if none is configured, ended while it started: {REMEDY}"
TOO_SLOW = (
    f"Prefect's embedded server, which rsvlm starts if none is configured, did not answer within {{}} s: {REMEDY}"
)
STARTING = Lock()
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


def open_prefect(*modules: str) -> None:
    """Prepare Prefect for a command: `check_server`, then `start_prefect`."""
    check_server()
    start_prefect(*modules)


def check_server() -> None:
    """Raise ConfigError if a server is configured and does not answer; writes nothing."""
    from flows.server import require_configured_server

    prepare_prefect()
    require_configured_server()


def start_prefect(*modules: str, is_command: bool = True) -> None:
    """Start the embedded server if none is configured, and import `modules` meanwhile; `check_server` comes before.

    A command also handles Ctrl-C; in a program or a notebook of the user's, Python does.
    """
    from flows.server import is_configured

    configured = is_configured()
    # a program may start flows in several threads
    with STARTING:
        if configured or _is_running():
            if is_command:
                handle_signals(kill_children)
        else:
            _start_server(modules, is_command)
    if not configured:
        # each time: Prefect's settings may have been read again since the last one
        send_no_heartbeats()


def _start_server(modules: Sequence[str], is_command: bool) -> None:
    started: list[subprocess.Popen[bytes]] = []
    try:
        port = _launch(started)
        process = started[-1]
        if is_command:
            handle_signals(kill_children, process.kill)
        # by now two processes import the server's package, each on its own core
        for module in (SERVER, *modules):
            import_module(module)
        _wait_for_answer(process, port)
    except BaseException:
        # A notebook goes on, and may start another one. The watcher, which is the first, would end a process that has
        # been given the server's number since.
        for one in started:
            one.kill()
            one.wait()
        raise
    _adopt(process, port)
    # before Prefect's own handler, which waits five seconds
    atexit.register(_stop_after_interrupt, process)
    if is_command:
        # the main thread, which may wait for a line of a child, must get each Ctrl-C
        with sigint_blocked():
            Thread(target=_live_without, args=(process,), daemon=True).start()


def _is_running() -> bool:
    """Whether this process has a server already, of an earlier run or of a flow of the user's."""
    module = sys.modules.get(SERVER)
    # another thread may be importing it
    server = module.SubprocessASGIServer() if module and hasattr(module, "SubprocessASGIServer") else None
    if not server or not server.running:
        return False
    if server.server_process is None or server.server_process.poll() is None:
        return True
    # it has been killed, and Prefect would go on asking it
    server.stop()
    return False


def _launch(started: list["subprocess.Popen[bytes]"]) -> int:
    """Start a watcher and the server, shielded from the terminal's Ctrl-C until the flows have ended; returns its port.

    Both are appended to `started`. Prefect's own function for this can be called only after three seconds of imports.
    """
    port = _free_port()
    with sigint_blocked():
        started.append(watcher := _start_watcher())
        assert watcher.stdin is not None
        server = subprocess.Popen(  # noqa: S603 - a list, no shell
            server_command(port), env=server_environment(), preexec_fn=partial(_tell_own_number, watcher.stdin.fileno())
        )
        started.append(server)
    return port


def _tell_own_number(pipe: int) -> None:
    """For `preexec_fn`: from its first moment on, the server does not outlive the command, which may be killed."""
    os.write(pipe, str(os.getpid()).encode())


def server_command(port: int) -> list[str]:
    """The command line of Prefect's embedded server, the same as Prefect's own."""
    import prefect

    return [
        *(sys.executable, "-m", "uvicorn"),
        *("--app-dir", str(prefect.__module_path__.parent), "--factory", f"{SERVER}:create_app"),
        *("--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--lifespan", "on"),
    ]


def server_environment() -> dict[str, str]:
    """The environment of Prefect's embedded server, the same as Prefect's own but for the plugin."""
    from prefect.settings import get_current_settings

    return {**PLUGIN, **os.environ, **EMBEDDED, **get_current_settings().to_environment_variables(exclude_unset=True)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _live_without(process: "subprocess.Popen[bytes]") -> None:
    """Wait for the server's end; from then on Prefect's client repeats no request and does not report that it cannot.

    SIGTERM to a whole process group, as `timeout` and batch systems send it, ends the server first. Prefect would try
    for minutes to tell it that the run was cancelled.
    """
    process.wait()
    # at the end of this process nothing is told any more
    if main_thread().is_alive():
        from prefect.context import refresh_global_settings_context

        os.environ["PREFECT_CLIENT_MAX_RETRIES"] = "0"
        refresh_global_settings_context()
        for name in CONNECTION_LOGGERS:
            logging.getLogger(name).disabled = True
        # nor that records could not be sent
        logging.raiseExceptions = False


def _wait_for_answer(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait until the server answers; raises ConfigError if it ends or takes too long."""
    import httpx

    limit_s = float(os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"])
    started, is_told = time.monotonic(), False
    # without the user's proxy
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=REQUEST_S, trust_env=False) as client:
        while not _answers(client):
            waited_s = time.monotonic() - started
            if process.poll() is not None:
                raise ConfigError(ENDED)
            if waited_s > limit_s:
                raise ConfigError(TOO_SLOW.format(f"{limit_s:g}"))
            if waited_s > SLOW_S and not is_told:
                note("Starting Prefect's embedded server ...")
                is_told = True
            time.sleep(ASK_EVERY_S)


def _answers(client: "httpx.Client") -> bool:
    import httpx

    try:
        return client.get("/api/health").is_success
    except httpx.TransportError:
        # it does not listen yet, or is too busy to answer
        return False


def _adopt(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Make the process Prefect's own embedded server, as if Prefect had started it."""
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer()
    server.port, server.server_process, server.running = port, process, True
    atexit.register(server.stop)


def send_no_heartbeats() -> None:
    """Unless the user wants them: this server ends with the run, and each flow would wait a second for their thread."""
    from prefect.settings import get_current_settings

    flows = get_current_settings().flows
    if "heartbeat_frequency" not in flows.model_fields_set:
        flows.heartbeat_frequency = None


def _start_watcher() -> "subprocess.Popen[bytes]":
    """Start a process that reads the server's number, and stops it when this process ends, even if it is killed."""
    watcher = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
        [sys.executable, "-I", "-S", "-c", WATCHER],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        start_new_session=True,
        bufsize=0,
    )
    assert watcher.stdin is not None
    # keep the pipe open until this process ends
    atexit.register(watcher.stdin.close)
    return watcher


def _stop_after_interrupt(process: "subprocess.Popen[bytes]") -> None:
    """After Ctrl-C, stop the server within STOP_S seconds."""
    if stop_requested():
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
            return
        process.kill()


def _filter_record(record: logging.LogRecord) -> bool:
    """Remove the traceback of a user error; drop crash records after Ctrl-C, since nothing has crashed."""
    if stop_requested() and (record.levelno >= logging.ERROR or "Crashed(" in record.getMessage()):
        return False
    error = record.exc_info[1] if record.exc_info else None
    if user_message(error):
        record.exc_info = record.exc_text = None
    return True
