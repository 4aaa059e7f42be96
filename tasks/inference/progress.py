"""How far the answers are: a line every few seconds with rate and time left."""

from collections.abc import Callable

from tasks.worker_lines import answers_line

EVERY_S = 5.0


class Progress:
    """Called with the answers so far and the questions in all; the rate is that of this process alone."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float], every_s: float = EVERY_S):
        self._say, self._clock, self._every_s = say, clock, every_s
        self._begun: tuple[float, int] | None = None
        self._said_at = clock()

    def __call__(self, answered: int, asked: int) -> None:
        now = self._clock()
        if self._begun is None:
            # what was answered before this process began says nothing about its rate
            self._begun, self._said_at = (now, answered), now
            self._say(answers_line(answered, asked))
        elif now - self._said_at >= self._every_s or answered == asked:
            self._said_at = now
            self._say(self._line(now, answered, asked))

    def _line(self, now: float, answered: int, asked: int) -> str:
        started_at, before = self._begun or (now, answered)
        return answers_line(answered, asked, (answered - before) / max(now - started_at, 1e-9))
