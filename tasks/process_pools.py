"""Work that all CPUs share: processes that are started for it and end with it."""

import multiprocessing
import resource
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from types import ModuleType
from typing import TypeVar

from tasks.interrupting import sigint_blocked
from tasks.processes import die_with_parent

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_processes(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int, chunk: int = 1
) -> list[Result]:
    """What `work`, a function of an importable module, returns of each item, in their order."""
    # spawned: a flow's process has threads, and a fork would copy their locks
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), die_with_parent) as pool:
        with _program_out_of_sight(), sigint_blocked():
            # all processes are started here
            found = pool.map(work, items, chunksize=chunk)
        return list(found)


def call_in_process(work: Callable[[], Result], memory_bytes: int) -> Result:
    """What `work` returns in a process of its own that gets no more than this much address space.

    Raises BrokenProcessPool where the process ends before it returns.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, _bounded, (memory_bytes,)) as pool:
        with _program_out_of_sight(), sigint_blocked():
            found = pool.submit(work)
        return found.result()


def _bounded(memory_bytes: int) -> None:
    die_with_parent()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    allowed = memory_bytes if most == resource.RLIM_INFINITY else min(memory_bytes, most)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, most))


@contextmanager
def _program_out_of_sight() -> Iterator[None]:
    """A spawned process runs the program that started it again, unless it finds none.

    A program of the user's that starts a flow, with no `if __name__ == "__main__":`, would start it in each process.
    """
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program
