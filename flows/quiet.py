"""What a run in a program or a notebook of the user's prints and logs goes to its log; only warnings are shown."""

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path

from flows.embedded import prepare_prefect
from tasks.worker_lines import IS_IN_LOG

# two at once would take the output from each other
_ONE_AT_A_TIME = threading.Lock()
FORMAT = "%(asctime)s %(levelname)s %(message)s"


@contextmanager
def quiet_prefect(log: Path) -> Iterator[None]:
    """While the block runs, stdout and Prefect's log are appended to the file `log`; warnings are shown, too.

    Waits for the block of another thread: the output is the process's.
    """
    prepare_prefect()
    # on import, Prefect configures the handlers that this changes
    from prefect.logging.handlers import PrefectConsoleHandler

    root = logging.getLogger()
    log.parent.mkdir(parents=True, exist_ok=True)
    with _ONE_AT_A_TIME, ExitStack() as stack:
        file = stack.enter_context(log.open("a", encoding="utf-8", buffering=1))
        stack.enter_context(redirect_stdout(file))
        for handler in root.handlers:
            if isinstance(handler, PrefectConsoleHandler):
                stack.callback(handler.setLevel, handler.level)
                handler.setLevel(max(handler.level, logging.WARNING))
        added = logging.StreamHandler(file)
        added.setFormatter(logging.Formatter(FORMAT))
        added.addFilter(lambda record: not getattr(record, IS_IN_LOG, False))
        root.addHandler(added)
        stack.callback(root.removeHandler, added)
        yield
