"""Code limits: short functions, short files, few parameters, docstrings, no package among the tests."""

import ast
from functools import cache

from support.locations import REPO

OURS = [
    path for package in ("flows", "tasks", "deployments", "tests") for path in sorted((REPO / package).rglob("*.py"))
]
CODE_LINES, PARAMETERS, FILE_LINES = 40, 6, 300

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def functions() -> list[tuple[str, Function]]:
    """Every function with its location, such as tasks/files.py:20 sync."""
    return [
        (f"{path.relative_to(REPO)}:{node.lineno} {node.name}", node)
        for path in OURS
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, Function)
    ]


def code_lines(function: Function) -> int:
    """Lines that hold code: no signature, docstring, comment or empty line."""
    lines: set[int] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.expr | ast.stmt) and node is not function and not _is_text(node):
            lines.update((node.lineno, node.end_lineno or node.lineno))
    return len({line for line in lines if line >= function.body[0].lineno})


def _is_text(node: ast.AST) -> bool:
    value = node.value if isinstance(node, ast.Expr) else node
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def parameters(function: Function) -> int:
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def test_no_function_is_long() -> None:
    assert [place for place, function in functions() if code_lines(function) > CODE_LINES] == []


def test_no_function_has_many_parameters() -> None:
    assert [place for place, function in functions() if parameters(function) > PARAMETERS] == []


def test_no_file_is_long() -> None:
    lines = {path.relative_to(REPO): path.read_text(encoding="utf-8").count("\n") for path in OURS}
    assert {path: count for path, count in lines.items() if count > FILE_LINES} == {}


def test_no_folder_of_tests_is_a_package() -> None:
    # a tests/tasks/__init__.py would hide the real package tasks
    assert list((REPO / "tests").rglob("__init__.py")) == []


def test_every_module_has_a_docstring() -> None:
    silent = [
        path.relative_to(REPO)
        for path in OURS
        if path.parts[len(REPO.parts)] != "tests" and path.read_bytes().strip()
        and not ast.get_docstring(ast.parse(path.read_bytes()))
    ]  # fmt: skip
    assert silent == []


def test_modules_are_named_for_their_topic() -> None:
    nameless = {"utils", "helpers", "common", "misc", "core", "util", "helper"}
    assert [path for path in OURS if nameless.intersection({path.stem, path.parent.name})] == []
