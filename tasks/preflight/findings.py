"""What a look ahead found: one sentence a check, and whether it stops the run."""

from typing import Literal

from tasks.records import Value

Level = Literal["ok", "warning", "stops"]
LABELS = {"ok": "ok", "warning": "warning", "stops": "STOPS"}


class Finding(Value):
    """One check: what it looked at, whether the run can go, and one sentence that says what to do if not."""

    check: str
    level: Level
    text: str


class MemoryRow(Value):
    """One part of a process's memory in bytes, with a batch of usual length and with the longest that is allowed."""

    part: str
    usual: float
    longest: float


class Report(Value):
    """All findings, and where memory goes; `memory_of` says what the rows are of."""

    findings: tuple[Finding, ...]
    memory: tuple[MemoryRow, ...] = ()
    memory_of: str = ""

    @property
    def stops(self) -> list[Finding]:
        """What would stop the run."""
        return [finding for finding in self.findings if finding.level == "stops"]

    def as_text(self) -> str:
        """For a terminal: a line a finding, and the memory as a table."""
        wide = max((len(finding.check) for finding in self.findings), default=0)
        lines = [f"{LABELS[found.level]:<8} {found.check:<{wide}}  {found.text}" for found in self.findings]
        if self.memory:
            lines += ["", f"{self.memory_of}, in GB:", f"  {'':<40}{'usual':>8}{'longest':>9}"]
            lines += [f"  {row.part:<40}{row.usual / 1e9:>8.2f}{row.longest / 1e9:>9.2f}" for row in self.memory]
        return "\n".join(lines)

    def as_markdown(self) -> str:
        """For Prefect's pages: the same as two tables."""
        lines = ["| | check | |", "|---|---|---|"]
        lines += [f"| {LABELS[found.level]} | {found.check} | {found.text} |" for found in self.findings]
        if self.memory:
            lines += ["", f"{self.memory_of}, in GB", "", "| part | usual | longest |", "|---|---:|---:|"]
            lines += [f"| {row.part} | {row.usual / 1e9:.2f} | {row.longest / 1e9:.2f} |" for row in self.memory]
        return "\n".join(lines) + "\n"

    def message(self) -> str:
        """What stops the run, for an error: one sentence, or all of them in a list."""
        texts = [finding.text for finding in self.stops]
        return texts[0] if len(texts) == 1 else "\n  - ".join([f"{len(texts)} things stop this run:", *texts])


def ok(check: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(check=check, level="ok", text=text)


def warning(check: str, text: str) -> Finding:
    """The run goes, but perhaps not as it should."""
    return Finding(check=check, level="warning", text=text)


def stops(check: str, text: str) -> Finding:
    """The run would end here."""
    return Finding(check=check, level="stops", text=text)


def size_text(size_bytes: float) -> str:
    """A size for people, in GB or MB."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
