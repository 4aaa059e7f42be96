"""Prefect's log in a file, and on the terminal no more than its warnings."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def quiet_prefect(log: Path | None = None) -> Iterator[None]:
    """While the block runs, only warnings of Prefect reach the terminal; with a `log`, all its records go there alone."""
    # on import, Prefect configures the handlers that this changes
    from prefect.logging.handlers import PrefectConsoleHandler

    root = logging.getLogger()
    with ExitStack() as stack:
        for handler in root.handlers:
            if isinstance(handler, PrefectConsoleHandler):
                stack.callback(handler.setLevel, handler.level)
                handler.setLevel(logging.CRITICAL + 1 if log else max(handler.level, logging.WARNING))
        if log:
            log.parent.mkdir(parents=True, exist_ok=True)
            file = logging.FileHandler(log, encoding="utf-8")
            file.setFormatter(logging.Formatter(FORMAT))
            root.addHandler(file)
            stack.callback(file.close)
            stack.callback(root.removeHandler, file)
        yield
