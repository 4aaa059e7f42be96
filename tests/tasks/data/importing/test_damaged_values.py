"""A value of another kind anywhere in a data set is counted or refused, never a traceback."""

import copy
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.files import places
from support.other_formats import SAMPLES, write, write_lines

from tasks.data.importing.formats import choose_format
from tasks.data.importing.import_files import ImportRequest, import_files
from tasks.errors import UserError
from tasks.record_reader import read_records

TURNS = [{"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "Is it?"}]}]
PAIRS = [{"ques_id": 1, "question": "Is it?", "type": "reasoning", "answer": "yes"}]
# a file each
OTHERS: dict[str, tuple[str, Any]] = {
    "query": ("ms-swift", [{"query": "And?", "response": "no", "history": [["Is it?", "yes"]], "images": ["a.png"]}]),
    "pairs": ("ms-swift", [{"conversation": [{"human": "Is it?", "assistant": "yes"}], "images": [{"path": "a.png"}]}]),
    "parts": ("sharegpt", [{"messages": [*TURNS, {"role": "assistant", "content": "yes"}]}]),
    "annotation": ("vrsbench", {"image": "a.png", "caption": "a ship", "objects": [{"obj_id": 1}], "qa_pairs": PAIRS}),
    "tokens": ("karpathy", {"images": [{"filename": "a.jpg", "sentences": [{"tokens": ["a", "ship"]}, "a car"]}]}),
}
JUNK: tuple[Any, ...] = (None, 3, 2.5, True, "", "x", [], {}, [[]], [3], {"a": [1]})


def values_of(path: Path) -> Any:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return json.loads(path.read_text())


def recognised(files: list[Path]) -> list[str]:
    """The format that an import without one would take."""
    with suppress(UserError):
        return [choose_format(files, None).name]
    return []


@pytest.mark.parametrize("name", [*SAMPLES, *OTHERS])
def test_a_value_of_another_kind_is_no_bug(tmp_path: Path, name: str) -> None:
    if name in OTHERS:
        format, files = OTHERS[name][0], [write(tmp_path / "a.json", OTHERS[name][1])]
    else:
        make, format, _ = SAMPLES[name]
        files = make(tmp_path)
    out, number = tmp_path / "out.json", 0
    for path in files:
        whole = values_of(path)
        for index in range(len(list(places(whole)))):
            for junk in JUNK:
                damaged = copy.deepcopy(whole)
                container, key = list(places(damaged))[index]
                container[key] = junk
                (write_lines if path.suffix == ".jsonl" else write)(path, damaged)
                for chosen in {format, *recognised(files)}:
                    with suppress(UserError):
                        import_files(ImportRequest(tuple(files), out, chosen, source="LR"))
                        read_records(out)
                        number += 1
                    out.unlink(missing_ok=True)
                    (tmp_path / "out.manifest.json").unlink(missing_ok=True)
        (write_lines if path.suffix == ".jsonl" else write)(path, whole)
    assert number
