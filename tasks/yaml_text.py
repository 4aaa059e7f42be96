"""YAML from elsewhere: no key twice, no endless nesting, no values that unfold without end, no odd numbers."""

import re
from pathlib import Path
from typing import Any

import yaml

from tasks.errors import SHOWN_CHARACTERS, ConfigError
from tasks.json_text import MOST_DIGITS, MOST_LEVELS

TRUTH_VALUE = "tag:yaml.org,2002:bool"
# values of a file, each counted as often as an alias repeats it; the longest preset has a hundred
MOST_VALUES = 100_000


class Loader(yaml.SafeLoader):
    """YAML in which only true and false are truth values: `eval_strategy: no` is a word; and no key stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            # the first would be dropped without a word, a whole section with it
            raise yaml.constructor.ConstructorError(None, None, f"{twice} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        number = super().construct_yaml_int(node)
        # in other bases Python's own limit does not hold
        if abs(number) >= 10**MOST_DIGITS:
            raise yaml.constructor.ConstructorError(None, None, "a number beyond all bounds", node.start_mark)
        return number


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != TRUTH_VALUE]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
Loader.add_implicit_resolver(TRUTH_VALUE, re.compile(r"(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def parse_yaml(text: str) -> Any:
    """The value of a YAML text; raises ValueError, with the reason, when it is not one or could not be gone through."""
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _require_bounded(node, {}, 0)
        return loader.construct_document(node)
    except RecursionError:
        raise ValueError(f"more than {MOST_LEVELS} levels of nesting") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split()).replace('in "<unicode string>", ', "at ")) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        # what PyYAML stumbles over in a number, a date or a tag
        raise ValueError(f"{type(error).__name__}: {error}") from None


def _require_bounded(node: yaml.Node, known: dict[yaml.Node, int], level: int) -> int:
    """How many values a node stands for, aliases unfolded; raises ValueError for too many or too deep ones."""
    if level > MOST_LEVELS:
        raise ValueError(f"more than {MOST_LEVELS} levels of nesting")
    if node not in known:
        inner = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        parts = [] if isinstance(node, yaml.ScalarNode) else inner
        known[node] = 1 + sum(_require_bounded(part, known, level + 1) for part in parts)
    if known[node] > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES} values, as its aliases repeat them")
    return known[node]


def read_yaml_file(path: Path) -> Any:
    """The value of a YAML file; raises ConfigError."""
    try:
        return parse_yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not valid YAML: {str(error)[:SHOWN_CHARACTERS]}") from None
