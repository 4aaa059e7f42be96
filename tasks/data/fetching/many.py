"""Several files at once."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def at_once(work: Callable[[Item], Result], items: Iterable[Item], number: int) -> Sequence[Result]:
    """Do `work` for all items, `number` at a time; the first error is raised when all have ended.

    All are let end: a download that goes on well is not thrown away because another fails.
    """
    with ThreadPoolExecutor(number) as pool:
        # each in a copy of the caller's context, which says whose run this is
        futures = [pool.submit(copy_context().run, work, item) for item in items]
    return [future.result() for future in futures]
