"""Prefect as rsvlm wants it where nobody has configured it: an embedded server, and no traceback for the user's errors.

Import this before prefect: it reads its settings when it is imported.
"""

import logging
import os

from tasks.errors import told_to_user

DEFAULTS = {
    # a fresh database takes 18 to 23 s on two cores, and Prefect's own limit is 20
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


def prepare_prefect() -> None:
    """Set what the user has not set, and take tracebacks out of messages that the user can mend."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    # on the loggers: Prefect adds its handlers later, when it is imported and when a run begins
    for name in RUN_LOGGERS:
        logging.getLogger(name).addFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if told_to_user(error):
        record.exc_info = record.exc_text = None
    return True
