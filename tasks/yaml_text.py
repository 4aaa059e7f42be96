"""Strict parsing of YAML from outside: repeated keys, deep nesting, alias bombs and huge numbers are refused."""

import re
from collections.abc import Hashable
from pathlib import Path

import yaml

from tasks.errors import SHOWN_CHARACTERS, ConfigError
from tasks.json_text import MAX_DIGITS, MAX_LEVELS

BOOLEAN_TAG = "tag:yaml.org,2002:bool"
# values of a file with all aliases expanded; the longest preset has a hundred
MAX_VALUES = 100_000


class Loader(yaml.SafeLoader):
    """A YAML loader for which only true and false are booleans (`eval_strategy: no` is text), without repeated keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if repeated := next((key for key in keys if keys.count(key) > 1), None):
            # PyYAML would silently drop the first, which may be an entire section
            raise yaml.constructor.ConstructorError(None, None, f"{repeated} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        number = super().construct_yaml_int(node)
        # Python's own limit does not apply to other bases
        if abs(number) >= 10**MAX_DIGITS:
            raise yaml.constructor.ConstructorError(None, None, "a number out of range", node.start_mark)
        return number


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != BOOLEAN_TAG]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
Loader.add_implicit_resolver(BOOLEAN_TAG, re.compile(r"(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def parse_yaml(text: str) -> object:
    """The value of a YAML text; raises ValueError, with the reason, if it is invalid or too deep or too large."""
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _require_bounded(node, {}, 0)
        return loader.construct_document(node)
    except RecursionError:
        raise ValueError(f"more than {MAX_LEVELS} levels of nesting") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split()).replace('in "<unicode string>", ', "at ")) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        # PyYAML's failures on some numbers, dates and tags
        raise ValueError(f"{type(error).__name__}: {error}") from None


def _require_bounded(node: yaml.Node, known: dict[yaml.Node, int], level: int) -> int:
    """Number of values in a node with all aliases expanded; raises ValueError if they are too many or too deep."""
    if level > MAX_LEVELS:
        raise ValueError(f"more than {MAX_LEVELS} levels of nesting")
    if node not in known:
        inner = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        parts = [] if isinstance(node, yaml.ScalarNode) else inner
        known[node] = 1 + sum(_require_bounded(part, known, level + 1) for part in parts)
    if known[node] > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values, with all aliases expanded")
    return known[node]


def read_yaml_file(path: Path) -> object:
    """The value of a YAML file; raises ConfigError if it is not valid."""
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not valid YAML: {str(error)[:SHOWN_CHARACTERS]}") from None
