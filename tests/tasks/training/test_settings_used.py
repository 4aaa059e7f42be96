"""No setting of the training is dead: each is read somewhere between the order and the trainer."""

import ast
from collections.abc import Iterator

import pytest
from support.locations import REPO

from tasks.settings import TrainingConfig

ROOM = REPO / "tasks"
READERS = [*sorted((ROOM / "training").glob("*.py")), ROOM / "settings" / "training.py"]


def read_names() -> Iterator[str]:
    """Attributes that the training's code takes of anything, and names that it hands on as text."""
    for path in READERS:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Attribute):
                yield node.attr
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and path.name == "arguments.py":
                yield node.value


NAMES = frozenset(read_names())


@pytest.mark.parametrize("name", TrainingConfig.model_fields)
def test_each_setting_is_read(name: str) -> None:
    assert name in NAMES


@pytest.mark.parametrize("names", [TrainingConfig.WITHOUT_EFFECT, TrainingConfig.DIVISION])
def test_settings_that_are_named_apart_exist(names: frozenset[str]) -> None:
    assert names <= set(TrainingConfig.model_fields)
