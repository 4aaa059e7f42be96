"""Gradio's sessions, bounded: questions of visitors who have left are cancelled, and no inputs are stored."""

import asyncio
from collections import Counter

from gradio.queueing import Queue
from gradio.state_holder import SessionState, StateHolder

# seconds that a question may wait for its visitor to listen
GRACE_S = 10
# far more than can wait in the queue; beyond it the least recently used session is dropped
MAX_SESSIONS = 512


class Sessions:
    """The sessions of a page's queue; it cancels those that nobody has listened to for ten seconds.

    Gradio cancels a question when its stream breaks. If the stream was never opened, it would answer for nobody and
    keep the answer.
    """

    def __init__(self, queue: Queue):
        self._queue = queue
        self._listened_to: set[str] = set()
        # scheduled checks per session; only the last one acts
        self._checks: Counter[str] = Counter()
        # the event loop keeps no references to its tasks
        self._cancelling: set[asyncio.Future[None]] = set()

    def has_listener(self, session: str) -> bool:
        """Whether a stream of the session is open."""
        return session in self._listened_to

    def has_messages(self, session: str) -> bool:
        """Whether there is anything to listen to."""
        return session in self._queue.pending_messages_per_session

    def session_of(self, event: str) -> str | None:
        """The session that an event belongs to; None if there is no such event."""
        found = self._queue.event_ids_to_events.get(event)
        if found is not None:
            return str(found.session_hash)
        pending = self._queue.pending_event_ids_session.items()
        return next((session for session, events in pending if event in events), None)

    def open(self, session: str) -> None:
        """Note that a stream of the session was opened."""
        self._listened_to.add(session)

    def close(self, session: str) -> None:
        """Note that the session's stream was closed; it may be opened again soon."""
        self._listened_to.discard(session)
        self.expect_listener(session)

    def expect_listener(self, session: str) -> None:
        """Cancel the session's questions unless a stream is open in ten seconds."""
        self._checks[session] += 1
        asyncio.get_running_loop().call_later(GRACE_S, self._check, session)

    def _check(self, session: str) -> None:
        self._checks[session] -= 1
        if self._checks[session]:
            return
        del self._checks[session]
        if session not in self._listened_to:
            task = asyncio.ensure_future(self._cancel(session))
            self._cancelling.add(task)
            task.add_done_callback(self._cancelling.discard)

    async def _cancel(self, session: str) -> None:
        await self._queue.clean_events(session_hash=session)
        self._queue.pending_messages_per_session.pop(session, None)
        self._queue.pending_event_ids_session.pop(session, None)


class LeanState(SessionState):
    """A session without copies of its latest inputs, which Gradio keeps for links to a filled-in page."""

    def _update_value_in_config(self, key: int, value: object) -> None:
        pass


class LeanStates(StateHolder):
    """Creates a LeanState for each new session."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = LeanState(self.blocks)
        return super().__getitem__(session_id)
