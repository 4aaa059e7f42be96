"""Ctrl-C while modules are imported: it ends the process with an exit code, and is not lost."""

import subprocess
import sys

import pytest

START = """
import os, signal
from tasks.interrupting import handle_signals, interrupt_early

interrupt_early()
"""
# Python marks an interrupt that passes `exec`, and ends by the signal in the end
PASSED_ON = """
try:
    exec("os.kill(os.getpid(), signal.SIGINT)")
except KeyboardInterrupt:
    raise SystemExit(130)
"""
SWALLOWED = """
try:
    os.kill(os.getpid(), signal.SIGINT)
except BaseException:
    pass
try:
    handle_signals()
except KeyboardInterrupt:
    raise SystemExit(130)
"""
IN_A_CALLBACK = """
import time, weakref

class Held:
    pass

held = Held()
weak = weakref.ref(held, lambda ref: os.kill(os.getpid(), signal.SIGINT))
try:
    del held
    time.sleep(60)
except KeyboardInterrupt:
    raise SystemExit(130)
"""
IGNORED = """
signal.signal(signal.SIGINT, signal.SIG_IGN)
interrupt_early()
os.kill(os.getpid(), signal.SIGINT)
handle_signals()
"""


def ended(program: str) -> tuple[int, str]:
    """Exit code and errors of a Python program."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("rest", [PASSED_ON, SWALLOWED, IN_A_CALLBACK])
def test_an_early_interrupt_ends_with_its_exit_code_and_is_not_lost(rest: str) -> None:
    assert ended(START + rest) == (130, "")


def test_a_program_whose_caller_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    assert ended(START + IGNORED) == (0, "")
