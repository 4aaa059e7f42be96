"""The run form of a flow in Prefect's UI: what it asks for, in which order, and how optional settings look.

`prefect deploy` reads a flow's signature. A flow's form is a signature of its own: the name comes first, and parameters
that only calling flows give are absent. Prefect shows the alternative null of an optional setting as 'Property is type
"None"': the form has an empty field instead. Prefect's server takes null for a field without default in a run, and
refuses it in a deployment (`deployments.preset_step.form_values`).
"""

import inspect
from collections.abc import Callable, Collection
from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

FIRST = "name"
NULL = {"type": "null"}
# a choice with the only value null: a list to choose from, with the title on the tab
NONE = {"title": "none", "enum": [None]}
PLAIN = {"string", "integer", "number"}


def form_of(function: Callable[..., Any], hidden: Collection[str] = ()) -> inspect.Signature:
    """The signature from which Prefect makes the form of a flow's function, without the `hidden` parameters."""
    shown = [
        # only a keyword may come without a default after one with a default
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[each.annotation, FormSchema()])
        for each in inspect.signature(function, eval_str=True).parameters.values()
        if each.name not in hidden
    ]
    return inspect.Signature(sorted(shown, key=lambda each: each.name != FIRST))


class FormSchema:
    """Annotation that simplifies the JSON schema of a flow's parameter for the form."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler(schema)
        # the null of a parameter itself has a default, so it stays an alternative
        _name_null(found)
        _simplify(found, handler, set())
        return found


def _simplify(node: JsonSchemaValue, handler: GetJsonSchemaHandler, seen: set[str]) -> None:
    """Simplify the optional settings of a schema and of all that it refers to."""
    if (ref := node.get("$ref")) and ref not in seen:
        seen.add(ref)
        _simplify(handler.resolve_ref_schema(node), handler, seen)
    for field in node.get("properties", {}).values():
        _make_plain(field)
        _name_null(field)
        _simplify(field, handler, seen)
    parts = [node.get("items"), node.get("additionalProperties"), *node.get("anyOf", ())]
    for part in parts:
        if isinstance(part, dict):
            _name_null(part)
            _simplify(part, handler, seen)


def _make_plain(field: JsonSchemaValue) -> None:
    """Turn an optional number or text into a plain one without default, for which Prefect's server accepts null."""
    kinds = [kind for kind in field.get("anyOf", ()) if kind != NULL]
    if NULL in field.get("anyOf", ()) and len(kinds) == 1 and kinds[0].get("type") in PLAIN and "enum" not in kinds[0]:
        del field["anyOf"]
        field.pop("default", None)
        field.update(kinds[0])


def _name_null(field: JsonSchemaValue) -> None:
    """Title the tabs of an optional value that is no plain field: "none", and "value" or the type of each kind."""
    kinds = field.get("anyOf", ())
    if NULL in kinds:
        field["anyOf"] = [NONE if kind == NULL else kind if "$ref" in kind else _titled(kind, kinds) for kind in kinds]


def _titled(kind: JsonSchemaValue, kinds: list[JsonSchemaValue]) -> JsonSchemaValue:
    is_only_one = all(each in (kind, NULL) for each in kinds)
    return {"title": "value" if is_only_one else kind["type"]} | kind
