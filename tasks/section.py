"""What every section of the configuration is made of."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Values that do not change once read; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
