"""An event loop in a thread, for coroutines whose results a plain function collects."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread


@contextmanager
def background_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Yield a running event loop; at the end its tasks are cancelled, at once even while they wait for an answer."""
    # a thread: the caller's may have a loop that runs already, as in a notebook
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="requests", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(cancel_tasks(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def cancel_tasks() -> None:
    """Cancel all other tasks of the running loop, and wait until they have ended."""
    await asyncio.gather(*cancel_others(), return_exceptions=True)


def cancel_others() -> "set[asyncio.Task[object]]":
    """Cancel all other tasks of the running loop and return them; they end when this one waits."""
    current = asyncio.current_task()
    tasks = {task for task in asyncio.all_tasks() if task is not current}
    for task in tasks:
        task.cancel()
    return tasks
