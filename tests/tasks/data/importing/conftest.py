"""Imports into a temporary file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.data.importing.import_files import ImportRequest, import_files
from tasks.files import read_json

Records = list[dict[str, Any]]


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., tuple[Records, dict[str, Any]]]:
    """A function (files, options...) -> the imported records and their manifest."""

    def run(files: list[Path], **options: Any) -> tuple[Records, dict[str, Any]]:
        out = tmp_path / f"out-{len(list(tmp_path.glob('out-*.manifest.json')))}.json"
        import_files(ImportRequest(tuple(files), out, **options))
        return read_json(out), read_json(out.with_suffix(".manifest.json"))

    return run
