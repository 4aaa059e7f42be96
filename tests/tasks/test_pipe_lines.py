"""Lines of a pipe, and signals that come while nothing is written to it."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from tasks.pipe_lines import lines_of


@contextmanager
def pipe() -> Iterator[tuple[IO[bytes], int]]:
    """The reading end of a pipe, and the number of its writing end, which the test closes."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb", buffering=0) as output:
        yield output, write_end


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        ([], []),
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"on", b"e\n\nno end"], ["one", "", "no end"]),
        ([b"10 %\r20 %\r\nok\n"], ["10 %", "20 %", "ok"]),
        ([b"end \r", b"\nof two parts\n"], ["end ", "of two parts"]),
        ([b"caf\xc3", b"\xa9\n"], ["café"]),
        ([b"bad \xff\n", b"cut \xc3"], ["bad \ufffd", "cut \ufffd"]),
    ],
)
def test_lines_are_as_text_files_give_them(parts: list[bytes], lines: list[str]) -> None:
    with pipe() as (output, write_end):
        received = lines_of(output)

        def write() -> None:
            for part in parts:
                os.write(write_end, part)
            os.close(write_end)

        writer = threading.Thread(target=write)
        writer.start()
        assert list(received) == lines
        writer.join()


def test_a_signal_that_interrupts_no_read_is_handled_while_the_pipe_is_silent() -> None:
    """Taken by another thread, it leaves the read of the main thread waiting."""

    class Stopped(Exception):
        pass

    def stop(number: int, frame: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGUSR1, stop)
    with pipe() as (output, write_end):
        lines = lines_of(output)
        os.write(write_end, b"waiting\n")
        assert next(lines) == "waiting"
        # with the fault the read would last until this limit
        limit = threading.Timer(20, os.write, (write_end, b"too late\n"))
        other = threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGUSR1))
        try:
            for timer in (limit, other):
                timer.start()
            with pytest.raises(Stopped):
                next(lines)
            assert limit.is_alive()
        finally:
            limit.cancel()
            os.close(write_end)
            signal.signal(signal.SIGUSR1, before)
