"""`rsvlm serve` under mutated requests: nothing fails, nothing grows, and no file comes back that must not.

    python tests/benchmarks/serving_fuzz.py [--requests 20000] [--seed 28]

Half of them go to a server without a login, and half to one with a login, by one who has logged in.
"""

import argparse
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rows import Row, verdict
from serving_mutations import API, Mutations, Sent
from serving_visitor import Visitor, picture_in

REPO = Path(__file__).resolve().parents[2]
REQUESTS, SEED, SENDERS = 20_000, 28, 4
GROWTH_MB = 100
LOGIN = "ana:open-sesame"


@dataclass
class Found:
    """What came of the requests."""

    answers: Counter[int] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    answered: int = 0
    memory_mb: list[float] = field(default_factory=list)
    log: str = ""

    @property
    def growth_mb(self) -> float:
        """The most memory beyond what the server had after the first tenth of the requests."""
        warm = self.memory_mb[len(self.memory_mb) // 10 :]
        return max(warm) - warm[0]


def mutated_requests(folder: Path, requests: int = REQUESTS, seed: int = SEED) -> list[Row]:
    """What mutated requests do to the server; all figures are zero, or below one, where nothing is wrong."""
    found = [fuzz(folder / f"login-{bool(login)}", requests // 2, seed, login) for login in ("", LOGIN)]
    failed, leaked = [said for one in found for said in one.failed], [said for one in found for said in one.leaked]
    for said in [*failed, *leaked, *(one.log for one in found if one.log)]:
        print(said[-3000:])
    return [
        Row("mutated requests: answers of 500 and above", len(failed), "<= 0"),
        Row("mutated requests: files that came back and must not", len(leaked), "<= 0"),
        Row("mutated requests: tracebacks in the log", sum(one.log.count("Traceback") for one in found), "<= 0"),
        Row("mutated requests: memory gained / 100 MB", max(one.growth_mb for one in found) / GROWTH_MB, "<= 1"),
    ]


def fuzz(folder: Path, requests: int, seed: int, login: str) -> Found:
    """Send mutated requests to a new server, from four senders at once."""
    folder.mkdir()
    marks = [secrets.token_hex(20) for _ in range(4)]
    hidden = folder / "secret.png"
    hidden.write_text(marks[0])
    environment = {"TMPDIR": str(folder), "WANDB_API_KEY": marks[1], "AWS_SECRET_ACCESS_KEY": marks[2]}
    environment |= {"RSVLM_SERVE_LOGIN": login} if login else {}
    found = Found()
    with _server(folder, environment) as (process, port):
        theirs = Visitor(port, login).upload(marks[3].encode())
        visitor = Visitor(port, login)
        own = visitor.upload(picture_in(folder))
        files = ["/etc/passwd", "/proc/self/environ", f"/proc/{process.pid}/environ", str(hidden), theirs]
        secret = re.compile("|".join(["root:x:0:0", *marks, *([login] if login else [])]).encode())
        senders = [Sender(visitor, Mutations(seed + number, files, own), secret, found) for number in range(SENDERS)]
        with ThreadPoolExecutor(SENDERS) as pool:
            for result in pool.map(lambda sender: sender.send(requests // SENDERS, process.pid), senders):
                found.answered += result
        # it still does its work
        status, answer = visitor.call([{"path": own}, "Is there a road?", None, "model", 0, 4])
        assert (status, b"event: complete" in answer) == (200, True), answer
    found.log = (folder / "log").read_text()
    memory = f"memory {found.memory_mb[0]:.0f} to {max(found.memory_mb):.0f} MB, {found.growth_mb:.0f} MB once warm"
    print(f"{requests} requests: {dict(sorted(found.answers.items()))}, {found.answered} by the model, {memory}")
    return found


class Sender:
    """Sends requests one after another, and notes what comes of them."""

    def __init__(self, visitor: Visitor, mutations: Mutations, secret: re.Pattern[bytes], found: Found):
        self._visitor, self._mutations, self._secret, self._found = visitor, mutations, secret, found

    def send(self, requests: int, server: int) -> int:
        """How many of the requests were answered by the model; `server` is the process whose memory is looked at."""
        answered = 0
        for number in range(requests):
            sent = self._mutations.draw()
            body = self._noted(sent)
            answered += self._listened(sent, body, number)
            if number % 50 == 0:
                self._found.memory_mb.append(_memory_mb(server))
        return answered

    def _noted(self, sent: Sent) -> bytes:
        try:
            status, body = self._visitor.send(sent)
        except OSError as error:
            self._found.failed.append(f"{sent.method} {sent.path[:100]}: {error!r}")
            return b""
        self._found.answers[status] += 1
        if status >= 500:
            self._found.failed.append(
                f"{status} {sent.method} {sent.path[:100]} {sent.headers} {sent.body[:500]!r} {body!r}"
            )
        if self._secret.search(body):
            self._found.leaked.append(f"{sent.method} {sent.path[:200]} {sent.body[:500]!r}")
        return body

    def _listened(self, sent: Sent, body: bytes, number: int) -> int:
        """Whether the model answered; one in four goes away without listening."""
        if b'"event_id"' not in body or number % 4 == 0:
            return 0
        session = re.search(rb'"session_hash": "(fuzz\d+)"', sent.body)
        path = (
            f"queue/data?session_hash={session[1].decode()}" if session else f"call/ask/{json.loads(body)['event_id']}"
        )
        answer = self._noted(Sent("GET", f"{API}/{path}"))
        return b"process_completed" in answer or b"event: complete" in answer


@contextmanager
def _server(folder: Path, environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    from tasks.model.llava.tiny import create_tiny

    create_tiny(folder / "tiny", ("Is there a road?", "an airport with two planes on a runway"), seed=28)
    command = [sys.executable, "-m", "flows.cli", "serve", "--model", str(folder / "tiny"), "--port", "0"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            command, cwd=REPO, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **environment}
        ) as process,
    ):
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            yield process, int(address.rpartition(":")[2])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
    assert process.returncode == 0, f"the server ended with {process.returncode}"


def _memory_mb(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def main() -> None:
    """Send the requests and print the figures; exit 1 where one is missed."""
    parser = argparse.ArgumentParser(description="Mutated requests to rsvlm serve.")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rsvlm-fuzz-") as folder:
        rows = mutated_requests(Path(folder), options.requests, options.seed)
    for row in rows:
        print(f"{row.name}: {row.ratio:.2f} (aim {row.aim}) {verdict(row.ratio, row.aim)}")
    sys.exit(any(verdict(row.ratio, row.aim) != "met" for row in rows))


if __name__ == "__main__":
    main()
