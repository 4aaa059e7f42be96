import asyncio
import threading

from tasks.inference.engines.background_loop import background_loop


def test_tasks_that_wait_are_cancelled_at_the_end_and_the_thread_ends():
    ended = []

    async def wait_for_ever():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def seven():
        return 7

    before = threading.active_count()
    with background_loop() as loop:
        waiting = asyncio.run_coroutine_threadsafe(wait_for_ever(), loop)
        assert asyncio.run_coroutine_threadsafe(seven(), loop).result() == 7
    assert ended == [True] and waiting.cancelled() and threading.active_count() == before
