"""Base class of all sections of the configuration."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.fields import ComputedFieldInfo, FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")


def _own_name(name: str, _field: FieldInfo | ComputedFieldInfo) -> str:
    # "learning_rate", as in YAML and --set, not "Learning Rate"
    return name


class Section(BaseModel):
    """Frozen settings; unknown keys are refused.

    The JSON schema is the run form in Prefect's UI, which enforces bounds but does not show them, so they are appended
    to the descriptions.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=(), field_title_generator=_own_name
    )

    def __repr_args__(self) -> Iterable[tuple[str | None, object]]:
        # what differs from the defaults: the rest would fill a page
        fields = type(self).model_fields
        for name, value in super().__repr_args__():
            if name is None or value != fields[name].get_default(call_default_factory=True):
                yield name, value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler(schema)
        for field in handler.resolve_ref_schema(found).get("properties", {}).values():
            if (bounds := bounds_text(field)) and not field.get("description", "").endswith(bounds):
                field["description"] = f"{field.get('description', '')} {bounds}".lstrip()
        return found


def bounds_text(field: JsonSchemaValue) -> str:
    """The bounds of a number in its JSON schema as a sentence; empty if it has none."""
    kinds: list[JsonSchemaValue] = [field, *field.get("anyOf", ())]
    limits = next((kind for kind in kinds if any(bound in kind for bound in BOUNDS)), {})
    low = f"above {limits['exclusiveMinimum']:g}" if "exclusiveMinimum" in limits else _plain(limits, "minimum")
    high = f"below {limits['exclusiveMaximum']:g}" if "exclusiveMaximum" in limits else _plain(limits, "maximum")
    if low and high:
        return f"From {low} to {high}." if "minimum" in limits else f"{low.capitalize()} to {high}."
    if low:
        return f"{low} or more." if "minimum" in limits else f"{low.capitalize()}."
    return f"At most {high}." if high else ""


def _plain(limits: JsonSchemaValue, bound: str) -> str:
    return f"{limits[bound]:.12g}" if bound in limits else ""
