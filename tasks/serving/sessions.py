"""Work for a visitor ends when the visitor has gone: who asks keeps a stream open, on which the answer comes."""

import asyncio
from collections import Counter
from typing import Any

GRACE_S = 10


class Sessions:
    """The sessions of a page's queue, which ends what nobody has listened to for ten seconds.

    Gradio ends a question whose stream breaks; one whose stream was never opened it would answer for nobody, and keep
    the answer.
    """

    def __init__(self, queue: Any):
        self._queue = queue
        self._open: set[str] = set()
        # each look at a session waits for the last one that was asked for
        self._looks: Counter[str] = Counter()
        # the loop itself holds on to no task
        self._ending: set[asyncio.Future[None]] = set()

    def is_open(self, session: str) -> bool:
        """Whether somebody listens."""
        return session in self._open

    def is_known(self, session: str) -> bool:
        """Whether there is anything to listen to."""
        return session in self._queue.pending_messages_per_session

    def of_event(self, event: str) -> str | None:
        """The session that a question belongs to."""
        found = self._queue.event_ids_to_events.get(event)
        if found is not None:
            return str(found.session_hash)
        pending = self._queue.pending_event_ids_session.items()
        return next((session for session, events in pending if event in events), None)

    def open(self, session: str) -> None:
        """Somebody listens from now on."""
        self._open.add(session)

    def close(self, session: str) -> None:
        """Nobody listens any more; somebody may come again."""
        self._open.discard(session)
        self.expect(session)

    def expect(self, session: str) -> None:
        """A question came: somebody has to listen soon."""
        self._looks[session] += 1
        asyncio.get_running_loop().call_later(GRACE_S, self._look, session)

    def _look(self, session: str) -> None:
        self._looks[session] -= 1
        if self._looks[session]:
            return
        del self._looks[session]
        if session not in self._open:
            task = asyncio.ensure_future(self._end(session))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _end(self, session: str) -> None:
        await self._queue.clean_events(session_hash=session)
        self._queue.pending_messages_per_session.pop(session, None)
        self._queue.pending_event_ids_session.pop(session, None)
