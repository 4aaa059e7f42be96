"""Plants faults in a copy of the project, one at a time, and tells which of them the tests catch.

    python tests/benchmarks/planted_faults.py --marks "not slow and not gpu and not network and not full_size"

A fault changes a comparison, a constant or a condition, or leaves out a call. The seed determines the choice, spread
evenly over the folders. For each fault the tests of its folder run first, then all others; the first failure ends it.
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
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).resolve().parents[2]
ROOMS = ("flows", "tasks", "deployments")
MARKS = "not gpu and not network and not full_size"
OTHER_COMPARISON = {
    **{ast.Eq: "!=", ast.NotEq: "==", ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">"},
    **{ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is"},
}


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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rsvlm-faults-") as folder:
        copy = copied(Path(folder))
        caught = 0
        for fault in chosen(options.count, options.seed):
            by = test_that_catches(fault, copy, options.marks)
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
    while len(found) < count:
        found += [by_folder[folder].pop() for folder in folders if by_folder[folder]]
    return found[:count]


def faults_of(file: Path) -> Iterator[Fault]:
    """All faults that can be planted in a file."""
    source = file.read_text(encoding="utf-8")
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))
    encoded = source.encode()

    def offset(line: int, column: int) -> int:
        return len(encoded[: starts[line - 1] + column].decode())

    for node in ast.walk(ast.parse(source)):
        for begin, end, new in changes(node, source, offset):
            yield Fault(file.relative_to(REPO), node.lineno, begin, end, new)  # type: ignore[attr-defined]


def changes(node: ast.AST, source: str, offset) -> Iterator[tuple[int, int, str]]:
    """Offsets and new texts of the changes of one node."""
    if not isinstance(node, ast.expr | ast.stmt):
        return
    assert node.end_lineno is not None and node.end_col_offset is not None
    begin, end = offset(node.lineno, node.col_offset), offset(node.end_lineno, node.end_col_offset)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in OTHER_COMPARISON:
        left, right = source[begin:end], node.comparators[0]
        assert node.left.end_lineno is not None and node.left.end_col_offset is not None
        after = offset(node.left.end_lineno, node.left.end_col_offset)
        before = offset(right.lineno, right.col_offset)
        if left and "(" not in source[after:before]:
            yield after, before, f" {OTHER_COMPARISON[type(node.ops[0])]} "
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield begin, end, repr(node.value + 1)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield begin, end, repr(not node.value)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield begin, end, f"({source[offset(node.operand.lineno, node.operand.col_offset):end]})"
    elif isinstance(node, ast.If) and "\n" not in (test := ast.get_source_segment(source, node.test) or "\n"):
        start = offset(node.test.lineno, node.test.col_offset)
        yield start, start + len(test), f"not ({test})"
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield begin, end, "None"


def test_that_catches(fault: Fault, copy: Path, marks: str) -> str | None:
    """The first test that fails with the fault; None if none does."""
    file = copy / fault.file
    source = file.read_text(encoding="utf-8")
    file.write_text(fault.planted(source), encoding="utf-8")
    try:
        near = copy / "tests" / fault.file.parent
        return (failing(copy, [near], marks) if near.is_dir() else None) or failing(copy, [copy / "tests"], marks)
    finally:
        file.write_text(source, encoding="utf-8")


def failing(copy: Path, tests: list[Path], marks: str) -> str | None:
    """The first test that fails, or what else ends pytest with an error."""
    command = ["pytest", "-x", "-q", "-n", "2", "--dist", "loadfile", "-m", marks, "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", *command, *map(str, tests)],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    # 5: no test was selected
    if done.returncode in (0, 5):
        return None
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return lines[0].split(" - ")[0] if lines else f"pytest ended with {done.returncode}"


if __name__ == "__main__":
    main()
