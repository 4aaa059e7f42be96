"""Files as people bring them, made small."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import scoring
from support.llava_records import Records, field_record, geochat_records, vrsbench_records


@pytest.fixture
def record() -> Callable[..., dict[str, Any]]:
    """A function (id, image, (question, answer), ...) -> a record in the LLaVA layout."""
    return field_record


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A function (name, records) -> their file, of JSON Lines where the name says so."""

    def write_file(name: str, rows: Records) -> Path:
        path = tmp_path / name
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(lines if path.suffix == ".jsonl" else json.dumps(rows, indent=1))
        return path

    return write_file


@pytest.fixture
def flat_names() -> Callable[..., Records]:
    """A function (folder, images) -> records as GeoChat has them: a question, a caption and a place of each image."""
    return geochat_records


@pytest.fixture
def mixed() -> Callable[..., Records]:
    """A function (answers, images) -> records as VRSBench has them: a caption, then two questions about the image."""
    return vrsbench_records


@pytest.fixture
def metrics_of() -> Callable[..., dict[str, Any]]:
    """A function (test set, answers, options...) -> scores of `rsvlm evaluate`, in report-NAME beside the test set."""
    return scoring.metrics_of
