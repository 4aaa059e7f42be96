"""Content is independent of locations; what has no known content is refused; code is known by its bytes."""

from pathlib import Path

import pytest

from tasks.content_keys import code_digests, content_of, path_of_module
from tasks.records import ModelRef


def test_content_of_a_reference_is_its_digest_wherever_it_is() -> None:
    here, there = (ModelRef(path=Path(folder), sha256="1") for folder in ("/a", "/b"))
    assert content_of({"base": here, "all": [there]}) == {"base": "1", "all": ["1"]}


def test_content_of_refuses_a_path() -> None:
    with pytest.raises(TypeError, match="is a location"):
        content_of(Path("/somewhere"))


@pytest.mark.parametrize("value", [object(), {"a", "b"}, b"bytes", 1j])
def test_content_of_refuses_types_of_unknown_content(value: object) -> None:
    with pytest.raises(TypeError, match="has no known content"):
        content_of([value])


def test_path_of_module_is_a_file_or_a_folder() -> None:
    assert path_of_module("tasks.sources").name == "sources.py"
    assert path_of_module("tasks.model").is_dir()


def test_code_digests_change_with_any_file_of_a_package(tmp_path: Path) -> None:
    digests = []
    for template in ("one", "two"):
        package = tmp_path / template
        package.mkdir()
        (package / "steps.py").write_text("")
        (package / "page.html").write_text(template)
        digests.append(code_digests(package, ["tasks.sources"]))
    assert digests[0][0] != digests[1][0] and digests[0][1] == digests[1][1]
