"""Lines of a child's output, read so that Ctrl-C is never missed."""

import codecs
import io
import os
import select
from collections.abc import Iterator
from typing import IO

WAIT_MS = 500
CHUNK_BYTES = 65536


def lines_of(output: IO[bytes]) -> Iterator[str]:
    """Lines of an unbuffered pipe, without their ends, until all who write to it have closed it.

    Invalid UTF-8 is replaced; \\r and \\r\\n end lines too, as progress bars write them.
    """
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)
    ready = select.poll()
    ready.register(output, select.POLLIN)
    rest = ""
    while True:
        # a signal that another thread takes, or that comes just before a read, interrupts no read without a limit
        while not ready.poll(WAIT_MS):
            pass
        chunk = os.read(output.fileno(), CHUNK_BYTES)
        *lines, rest = (rest + decoder.decode(chunk, final=not chunk)).split("\n")
        yield from lines
        if not chunk:
            break
    if rest:
        yield rest
