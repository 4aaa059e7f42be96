"""Time and peak memory of each step of `rsvlm run`, seen from outside."""

import re
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

EVERY_S = 0.2
STEP = re.compile(r"\[\d+/\d+\] ([a-z ]+?)(?:: done.*)?$")
STARTING = "starting"
MEMORY = re.compile(r"^Rss(?:Anon|Shmem):\s+(\d+) kB", re.MULTILINE)


@dataclass
class Stage:
    """A step: its seconds, and peaks in bytes of its largest process and of all processes together."""

    seconds: float = 0.0
    process: int = 0
    together: int = 0


@dataclass
class MeasuredRun:
    """What a command wrote, its exit code and its steps."""

    code: int = 0
    stdout: str = ""
    stderr: list[str] = field(default_factory=list)
    stages: dict[str, Stage] = field(default_factory=lambda: defaultdict(Stage))

    def table(self) -> str:
        """The steps as Markdown."""
        lines = ["| step | time in s | largest process in GB | all processes in GB |", "|---|---:|---:|---:|"]
        lines += [
            f"| {name} | {stage.seconds:.0f} | {stage.process / 1e9:.2f} | {stage.together / 1e9:.2f} |"
            for name, stage in self.stages.items()
        ]
        return "\n".join(lines)


def measured_run(arguments: Sequence[str]) -> MeasuredRun:
    """Run rsvlm and measure its steps, which it names in lines on stderr."""
    found, step, ended = MeasuredRun(), [STARTING], threading.Event()
    command = [sys.executable, "-m", "flows.cli", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        watch = threading.Thread(target=_watch, args=(process.pid, found, step, ended))
        watch.start()
        assert process.stdout and process.stderr
        for line in process.stderr:
            print(line, end="", flush=True)
            found.stderr.append(line.rstrip())
            if match := STEP.match(line):
                step[0] = match[1]
        found.stdout = process.stdout.read()
        found.code = process.wait()
        ended.set()
        watch.join()
    return found


def _watch(root: int, found: MeasuredRun, step: list[str], ended: threading.Event) -> None:
    before = time.monotonic()
    while not ended.wait(EVERY_S):
        stage, now = found.stages[step[0]], time.monotonic()
        sizes = [_memory(pid) for pid in (root, *_descendants(root))]
        stage.seconds += now - before
        stage.process, stage.together = max(stage.process, *sizes), max(stage.together, sum(sizes))
        before = now


def _memory(pid: int) -> int:
    """Bytes of a process that no file holds; files that are mapped, as stored weights are, can be read again."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        # it has ended
        return 0
    return sum(int(size) for size in MEMORY.findall(status)) * 1024


def _descendants(root: int) -> list[int]:
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # the name in parentheses may contain spaces
            parents[int(path.parent.name)] = int(path.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]
