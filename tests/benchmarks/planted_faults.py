"""Plants faults in a copy of the project, one at a time, and tells which of them the tests catch.

    python tests/benchmarks/planted_faults.py --marks "not slow and not gpu and not network and not full_size"

A fault changes a comparison, a constant or a condition, or leaves out a call. The seed determines the choice, spread
evenly over the folders. For each fault the tests of its file run first, then those of its folder, then all; the first
failure ends it.
"""

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).resolve().parents[2]
ROOMS = ("flows", "tasks", "deployments")
# all tests take a third of it
LIMIT_S = 3 * 3600
MARKS = "not gpu and not network and not full_size"
PAIRS = (("==", "!="), ("<", "<="), (">", ">="), ("in", "not in"), ("is", "is not"))
OTHERS = dict(PAIRS) | {other: one for one, other in PAIRS}
# start and end of the text that is replaced, and the new text
Change = tuple[int, int, str]


class Fault(NamedTuple):
    """A change of one place of a file: the offsets of the text that is replaced, and the new text."""

    file: Path
    line: int
    start: int
    end: int
    new: str

    def planted(self, source: str) -> str:
        """The source with the fault."""
        return source[: self.start] + self.new + source[self.end :]


def main() -> None:
    """Plant the faults one after the other and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=28)
    parser.add_argument("--marks", default=MARKS, help="pytest's -m")
    parser.add_argument("--near", action="store_true", help="run the tests of the fault's folder only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rsvlm-faults-") as folder:
        copy = copied(Path(folder))
        if broken := failing(copy, [copy / "tests"], options.marks):
            sys.exit(f"{broken} without a fault: fix it first, since it would catch every fault")
        caught = 0
        for fault in chosen(options.count, options.seed):
            by = test_that_catches(fault, copy, options)
            caught += by is not None
            source = (REPO / fault.file).read_text(encoding="utf-8")
            old = source[fault.start : fault.end]
            print(f"{fault.file}:{fault.line}  {old!r} -> {fault.new!r}  {by or 'NOT CAUGHT'}", flush=True)
    print(f"{caught} of {options.count} caught")


def copied(folder: Path) -> Path:
    """A copy of the project without its environment, beside the data that tests use where it is present."""
    shutil.copytree(REPO, folder / "main", ignore=shutil.ignore_patterns(".venv", ".git", "workspace", "__pycache__"))
    if (REPO.parent / "shared").exists():
        (folder / "shared").symlink_to(REPO.parent / "shared")
    return folder / "main"


def chosen(count: int, seed: int) -> list[Fault]:
    """Faults of as many folders as possible."""
    rng = random.Random(seed)
    by_folder: dict[Path, list[Fault]] = defaultdict(list)
    for room in ROOMS:
        for file in sorted((REPO / room).rglob("*.py")):
            by_folder[file.parent] += faults_of(file)
    for faults in by_folder.values():
        rng.shuffle(faults)
    folders = sorted(folder for folder, faults in by_folder.items() if faults)
    rng.shuffle(folders)
    found: list[Fault] = []
    while len(found) < count and any(by_folder.values()):
        found += [by_folder[folder].pop() for folder in folders if by_folder[folder]]
    return found[:count]


def faults_of(file: Path) -> Iterator[Fault]:
    """All faults that can be planted in a file."""
    source = Source(file.read_text(encoding="utf-8"))
    for node in nodes_of(ast.parse(source.text)):
        for change in CHANGES:
            for start, end, new in change(node, source):
                yield Fault(file.relative_to(REPO), source.text.count("\n", 0, start) + 1, start, end, new)


def nodes_of(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it but those inside f-strings, which have no places of their own before Python 3.12."""
    yield node
    if not isinstance(node, ast.JoinedStr):
        for child in ast.iter_child_nodes(node):
            yield from nodes_of(child)


class Source:
    """The text of a file, and the offsets of its nodes in it."""

    def __init__(self, text: str):
        self.text = text
        self._lines = text.split("\n")
        self._starts = [0, *accumulate(len(line) + 1 for line in self._lines)]

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Where a node begins and ends."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self._offset(node.lineno, node.col_offset), self._offset(node.end_lineno, node.end_col_offset)

    def _offset(self, line: int, column: int) -> int:
        # columns are counted in bytes
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())


def other_comparison(node: ast.AST, source: Source) -> Iterator[Change]:
    """`>=` for `>`, `not in` for `in` and so on."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        (_, after), (before, _) = source.span(node.left), source.span(node.comparators[0])
        if source.text[after:before].strip() in OTHERS:
            yield after, before, f" {OTHERS[source.text[after:before].strip()]} "


def other_constant(node: ast.AST, source: Source) -> Iterator[Change]:
    """Another number, False for True."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        value = not node.value if isinstance(node.value, bool) else 2 * node.value + 1
        yield *source.span(node), repr(value)


def other_condition(node: ast.AST, source: Source) -> Iterator[Change]:
    """A condition is turned around, or a `not` is left out."""
    if isinstance(node, ast.If):
        start, end = source.span(node.test)
        yield start, end, f"(not ({source.text[start:end]}))"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        start, _ = source.span(node)
        yield start, start + len("not"), ""


def no_call(node: ast.AST, source: Source) -> Iterator[Change]:
    """A call whose result is not used is left out."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield *source.span(node), "None"


CHANGES = (other_comparison, other_constant, other_condition, no_call)


def test_that_catches(fault: Fault, copy: Path, options: argparse.Namespace) -> str | None:
    """The first test that fails with the fault; None if none does."""
    file = copy / fault.file
    source = file.read_text(encoding="utf-8")
    file.write_text(fault.planted(source), encoding="utf-8")
    try:
        folder = copy / "tests" / fault.file.parent
        tests = [list(folder.glob(f"test_{fault.file.name}")), sorted(folder.glob("test_*.py"))]
        tests += [] if options.near else [[copy / "tests"]]
        return next(filter(None, (failing(copy, some, options.marks) for some in tests if some)), None)
    finally:
        file.write_text(source, encoding="utf-8")


def failing(copy: Path, tests: list[Path], marks: str) -> str | None:
    """The first test that fails, or what else ends pytest with an error."""
    command = ["pytest", "-x", "-q", "-n", "2", "--dist", "loadfile", "-m", marks, "-p", "no:cacheprovider"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", *command, *map(str, tests)],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        # a module may not end being imported
        return "pytest did not end"
    # 5: no test was selected
    if done.returncode in (0, 5):
        return None
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return lines[0].split(" - ")[0] if lines else f"pytest ended with {done.returncode}"


if __name__ == "__main__":
    main()
