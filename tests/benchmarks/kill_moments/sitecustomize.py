"""Counts what the processes of a command do to files and servers, and stops one of them at a drawn number.

Python imports this in each of its processes where this folder is on PYTHONPATH. An action is a file or folder below
RSVLM_KILLS_WORLD that is opened, linked, renamed, made or removed, or something sent to a store. Each appends a byte
to RSVLM_KILLS_COUNTER; whoever makes it RSVLM_KILLS_AT bytes long leaves its process id next to it and stops itself
before it acts.
"""

import os
import signal
import sys

ACTIONS = frozenset({"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir"})
SENT = "http.client.send"
WORLD, COUNTER, AT = (os.environ.get(f"RSVLM_KILLS_{name}", "") for name in ("WORLD", "COUNTER", "AT"))


def count(event: str, arguments: tuple[object, ...]) -> None:
    """Hear of each event of the interpreter."""
    if event != SENT and not (event in ACTIONS and str(arguments[0]).startswith(WORLD)):
        return
    counter = os.open(COUNTER, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(counter, b".")
        reached = os.fstat(counter).st_size
    finally:
        os.close(counter)
    if AT and reached >= int(AT):
        stop()


def stop() -> None:
    """Stop this process, if no other has been stopped before."""
    try:
        sign = os.open(f"{COUNTER}.stopped", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return
    os.close(sign)
    os.kill(os.getpid(), signal.SIGSTOP)


if WORLD:
    sys.addaudithook(count)
