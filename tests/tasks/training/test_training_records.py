import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import DataError
from tasks.training.training_records import read_records


@pytest.mark.parametrize(
    "content",
    [{}, ["text"], [{"id": 1}], [{"conversations": []}], [{"id": "1", "conversations": [{"from": "human"}]}]],
)
def test_what_is_no_record_is_named(tmp_path: Path, content: Any) -> None:
    (tmp_path / "data.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"data\.json(: record 0 lacks an id| holds no list)"):
        read_records(tmp_path / "data.json")
