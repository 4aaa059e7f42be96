"""Findings of the preflight checks: one sentence per check, and whether it prevents the run."""

from typing import Literal

from tasks.records import Value

Level = Literal["ok", "warning", "stops"]
LABELS = {"ok": "ok", "warning": "warning", "stops": "ERROR"}


class Finding(Value):
    """One check: its name, whether the run can start, and one sentence that says what to do if not."""

    check: str
    level: Level
    text: str


class MemoryRow(Value):
    """One part of a process's memory in bytes, for a batch of typical length and for the longest that is allowed."""

    part: str
    usual: float
    longest: float


class PreflightReport(Value):
    """All findings, and the memory estimate by part; `memory_of` is its heading."""

    findings: tuple[Finding, ...]
    memory: tuple[MemoryRow, ...] = ()
    memory_of: str = ""

    @property
    def errors(self) -> list[Finding]:
        """The findings that prevent the run."""
        return [finding for finding in self.findings if finding.level == "stops"]

    def as_text(self) -> str:
        """For a terminal: one line per finding, and the memory as a table."""
        width = max((len(finding.check) for finding in self.findings), default=0)
        lines = [f"{LABELS[found.level]:<8} {found.check:<{width}}  {found.text}" for found in self.findings]
        if self.memory:
            lines += ["", f"{self.memory_of}, in GB:", f"  {'':<40}{'typical':>8}{'longest':>9}"]
            lines += [f"  {row.part:<40}{row.usual / 1e9:>8.2f}{row.longest / 1e9:>9.2f}" for row in self.memory]
        return "\n".join(lines)

    def as_markdown(self) -> str:
        """For a Prefect artifact: the same as two tables."""
        lines = ["| | check | |", "|---|---|---|"]
        lines += [f"| {LABELS[found.level]} | {found.check} | {found.text} |" for found in self.findings]
        if self.memory:
            lines += ["", f"{self.memory_of}, in GB", "", "| part | typical | longest |", "|---|---:|---:|"]
            lines += [f"| {row.part} | {row.usual / 1e9:.2f} | {row.longest / 1e9:.2f} |" for row in self.memory]
        return "\n".join(lines) + "\n"

    def message(self) -> str:
        """The error message: one sentence, or a list of them."""
        texts = [finding.text for finding in self.errors]
        return texts[0] if len(texts) == 1 else "\n  - ".join([f"{len(texts)} problems prevent this run:", *texts])


def ok(check: str, text: str) -> Finding:
    """A check without problems."""
    return Finding(check=check, level="ok", text=text)


def warning(check: str, text: str) -> Finding:
    """The run can start, but may not do what is intended."""
    return Finding(check=check, level="warning", text=text)


def fatal(check: str, text: str) -> Finding:
    """The run would fail."""
    return Finding(check=check, level="stops", text=text)


def size_text(size_bytes: float) -> str:
    """A size for people, in GB or MB."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
