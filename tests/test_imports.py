"""Imports: none that are slow for `--help`, no Prefect in training ranks, no torchvision."""

import ast
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from support.locations import REPO

PACKAGES = ("flows", "tasks", "deployments")
SOURCES = sorted(path for package in PACKAGES for path in (REPO / package).rglob("*.py"))
SLOW_TO_IMPORT = ("torch", "prefect", "transformers", "pydantic")

COMMAND_LINE = """
import contextlib, io, sys
from flows.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    try:
        main({arguments!r})
    except SystemExit as end:
        code = end.code
"""


def dotted(path: Path) -> str:
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_after(code: str) -> set[str]:
    """Top-level names in sys.modules after a child process ran the code."""
    tell = "\nprint('\\n'.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}{tell}"], cwd=REPO, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["run", "--help"], 0),
        (["preflight", "--help"], 0),
        (["data", "split", "--help"], 0),
        (["evaluate", "--help"], 0),
        ([], 2),
        (["rnu"], 2),
        (["run"], 2),
        (["data", "reduce", "in.json", "out.json", "--ratio", "much"], 2),
    ],
)
def test_help_and_a_wrong_argument_import_nothing_slow(arguments: list[str], code: int) -> None:
    imported = imported_after(COMMAND_LINE.format(arguments=arguments) + f"assert code == {code}, code")
    assert imported.intersection(SLOW_TO_IMPORT) == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    [
        "tasks",
        "tasks.training.worker",
        "tasks.inference.worker",
        "tasks.merging.worker",
        "tasks.model.llava.tiny",
        "tasks.preflight.machine_checks",
    ],
)
def test_child_processes_do_not_import_prefect(module: str) -> None:
    assert "prefect" not in imported_after(f"import {module}")


@pytest.mark.slow
def test_the_process_of_a_flow_recognises_models_without_importing_torch() -> None:
    # two seconds for its import, and one for its end
    code = "import flows.experiment\nfrom tasks.model.families import families\nfamilies()"
    assert "torch" not in imported_after(code)


@pytest.mark.slow
def test_every_module_imports() -> None:
    imported_after("\n".join(f"import {dotted(path)}" for path in SOURCES))


def test_no_file_names_torchvision_in_an_import() -> None:
    # this one runs in the environment of vLLM, which imports torchvision
    foreign = REPO / "tasks" / "inference" / "engines" / "vllm_child.py"
    naming = [
        path
        for path in SOURCES
        if path != foreign
        for node in ast.walk(ast.parse(path.read_bytes()))
        if (isinstance(node, ast.Import) and any(name.name.startswith("torchvision") for name in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torchvision"))
    ]
    assert naming == []


def test_no_module_has_the_name_of_another_package() -> None:
    # a file entry point puts its own folder first on sys.path: a namesake there would hide the package
    ours = {path.stem for path in SOURCES} | {path.parent.name for path in SOURCES}
    others = set(packages_distributions()) - set(PACKAGES)
    assert ours.intersection(sys.stdlib_module_names | others) - {"__init__"} == set()
