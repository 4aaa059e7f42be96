"""All that a run prints and logs goes to a file; what its user should know is shown by the caller."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path

from flows.embedded import prepare_prefect

FORMAT = "%(asctime)s %(levelname)s %(message)s"
# it has written its lines to the run's log itself
WRITES_TO_LOG = "run_log"


@contextmanager
def quiet_prefect(log: Path, warnings: bool) -> Iterator[None]:
    """While the block runs, output and Prefect's log are appended to `log`; with `warnings` the terminal has these."""
    prepare_prefect()
    # on import, Prefect configures the handlers that this changes
    from prefect.logging.handlers import PrefectConsoleHandler

    root, level = logging.getLogger(), logging.WARNING if warnings else logging.CRITICAL + 1
    log.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        file = stack.enter_context(log.open("a", encoding="utf-8", buffering=1))
        stack.enter_context(redirect_stdout(file))
        for handler in root.handlers:
            if isinstance(handler, PrefectConsoleHandler):
                stack.callback(handler.setLevel, handler.level)
                handler.setLevel(max(handler.level, level))
        added = logging.StreamHandler(file)
        added.setFormatter(logging.Formatter(FORMAT))
        added.addFilter(lambda record: record.module != WRITES_TO_LOG)
        root.addHandler(added)
        stack.callback(root.removeHandler, added)
        yield
