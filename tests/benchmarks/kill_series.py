"""One command killed again and again: what was lost, half-written or left over, and whether it went on to its end."""

import random
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from kill_commands import Held, Killed, is_hidden, is_marker
from kill_processes import Attempt, Moment, Started

# how often a command is killed again before it may go to its end
AGAIN = 0.5


@dataclass
class Tally:
    """Kills of one command, and what is wrong after them, in words."""

    name: str
    kills: int = 0
    group_kills: int = 0
    finished: int = 0
    lost: list[str] = field(default_factory=list)
    half_written: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)

    @property
    def faults(self) -> dict[str, list[str]]:
        return {
            "lost": self.lost,
            "half-written": self.half_written,
            "left over": self.leftovers,
            "did not go on": self.stuck,
            "orphans": self.orphans,
        }


class Series:
    """A command, what it makes undisturbed, and what it makes when it is killed."""

    def __init__(self, killed: Killed, folder: Path, rng: random.Random) -> None:
        self._killed, self._rng, self._log = killed, rng, folder / "said.log"
        self.tally = Tally(killed.name)
        killed.renew()
        self._duration_s, self._actions = self._undisturbed()
        self._truth = killed.held()
        # once more, from nothing: what differs then is no sign of a kill
        killed.renew()
        self._undisturbed()
        again = killed.held()
        self.differing = sorted(
            name for name in self._truth.keys() | again.keys() if self._truth.get(name) != again.get(name)
        )

    def _undisturbed(self) -> tuple[float, int]:
        code, taken_s, actions = self._attempt().finish()
        assert code == 0, self._log.read_text(encoding="utf-8")
        return taken_s, actions

    def _attempt(self, moment: Moment | None = None) -> Attempt:
        killed = self._killed
        return Attempt(Started(killed.command, killed.world, killed.environment, self._log), moment)

    def kill(self, kills: int) -> None:
        """Kill the command so many times, with all its processes half of the time."""
        while self.tally.kills < kills:
            self._killed.renew()
            before = self._killed.held()
            while True:
                before = self._killed_once(before)
                if self.tally.kills >= kills or self._rng.random() >= AGAIN:
                    break
            self._go_to_the_end(before)
            wrong = sum(map(len, self.tally.faults.values()))
            print(f"{self.tally.name}: {self.tally.kills} of {kills} kills, {wrong} faults", flush=True)

    def _killed_once(self, before: Held) -> Held:
        """Start the command and kill it at a drawn moment; what is there afterwards."""
        by_time = self._rng.random() < 0.5
        action = self._rng.randint(1, self._actions)
        moment = Moment(after_s=self._rng.uniform(0, self._duration_s)) if by_time else Moment(action=action)
        group = self._rng.random() < 0.5
        attempt = self._attempt(moment)
        if not attempt.stopped_at_its_moment():
            # it was through before
            attempt.end()
            return self._killed.held()
        there = self._killed.held()
        left = attempt.kill(group)
        after = self._killed.held()
        self.tally.kills += 1
        self.tally.group_kills += group
        self.tally.orphans += [f"{moment}: {name}" for name in left]
        self.tally.lost += [f"{moment}: {name}" for name in (*self._lost(before, there), *self._lost(there, after))]
        self.tally.half_written += [f"{moment}: {name}" for name in (*self._wrong(after), *self._killed.damaged())]
        return after

    def _lost(self, before: Held, after: Held) -> list[str]:
        """What was as it should be and is not any more, and complete content that is nowhere now."""
        right = [
            name
            for name, digest in before.items()
            if digest == self._truth.get(name) and not is_hidden(name) and not self._may_differ(name)
        ]
        return [name for name in right if after.get(name) != before[name]] + vanished(before, after)

    def _wrong(self, after: Held) -> list[str]:
        """Files under final names that are not as the undisturbed command makes them."""
        return [
            name
            for name, digest in after.items()
            if self._truth.get(name) != digest and not is_hidden(name) and not self._is_unsteady(name)
        ]

    def _is_unsteady(self, name: str) -> bool:
        patterns = (*self._killed.passing, *self._killed.changing)
        return name in self.differing or any(fnmatch(name, pattern) for pattern in patterns)

    def _go_to_the_end(self, before: Held) -> None:
        """Run the same command to its end and compare what it made."""
        attempt = self._attempt()
        code, _taken_s, _actions = attempt.finish()
        attempt.end()
        after = self._killed.held()
        self.tally.finished += 1
        if code:
            self.tally.stuck.append(f"exit {code}: {self._log.read_text(encoding='utf-8')[-2000:]}")
            return
        self.tally.lost += [f"at the end: {name}" for name in self._lost(before, after)]
        self.tally.lost += [
            f"not as undisturbed: {name}"
            for name, digest in self._truth.items()
            if after.get(name) != digest and not self._may_differ(name)
        ]
        self.tally.half_written += self._killed.damaged()
        self.tally.leftovers += [name for name in after if name not in self._truth and not self._may_differ(name)]

    def _may_differ(self, name: str) -> bool:
        return name in self.differing or any(fnmatch(name, pattern) for pattern in self._killed.changing)


def vanished(before: Held, after: Held) -> list[str]:
    """Content of complete folders that is in none any more, and lines of growing files."""
    kept = set(complete(after).values())
    return [name for name, digest in complete(before).items() if digest not in kept]


def complete(held: Held) -> Held:
    """Files of folders that have their marker, and lines that are written to the end."""
    marked = {name.rpartition("/")[0] for name in held if is_marker(name)}
    return {
        name: digest
        for name, digest in held.items()
        if not is_hidden(name) and (": " in name or any(name.startswith(f"{folder}/") for folder in marked))
    }
