"""All output of a command but its view goes to the run's log."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TextIO

from flows.embedded import RUN_LOGGERS
from tasks.progress import note
from tasks.worker_lines import IS_IN_LOG

STDERR = 2
# how characters that a stream lacks are written
ESCAPED = "backslashreplace"


@contextmanager
def output_to(log: Path) -> Iterator[TextIO]:
    """Send what this process and its children write to the file `log`; yields a stream to the former stderr.

    The former stdout stays open for whoever has it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    kept = os.dup(STDERR)
    try:
        with (
            log.open("a", encoding="utf-8", buffering=1, errors=ESCAPED) as file,
            os.fdopen(kept, "w", buffering=1, encoding=sys.stderr.encoding, errors=ESCAPED, closefd=False) as messages,
            redirect_stdout(file),
        ):
            os.dup2(file.fileno(), STDERR)
            yield messages
    finally:
        sys.stderr.flush()
        os.dup2(kept, STDERR)
        os.close(kept)


@contextmanager
def show_warnings() -> Iterator[Callable[[], None]]:
    """Yield a function to call once Prefect has started: it notes a run's warnings, which go to the log like all else.

    After the block only warnings and errors are printed: Prefect reports that its server stops.
    """
    is_running = True

    def keep(record: logging.LogRecord) -> bool:
        if not is_running:
            return record.levelno >= logging.WARNING
        # errors end the run, and are reported then
        if record.levelno == logging.WARNING and record.name in RUN_LOGGERS:
            note(record.getMessage())
        return not getattr(record, IS_IN_LOG, False)

    def watch() -> None:
        # sets up its logging
        import prefect.main  # noqa: F401

        for handler in logging.getLogger().handlers:
            handler.addFilter(keep)

    try:
        yield watch
    finally:
        is_running = False
