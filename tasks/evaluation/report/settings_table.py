"""The settings that decided the weights of a report's model, next to their defaults."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from tasks.secret_addresses import scrubbed
from tasks.settings import DataConfig, ModelConfig, TrainingConfig

DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "data": DataConfig().content,
    "model": ModelConfig().content,
    "training": TrainingConfig().content,
}
# saved as a product of three settings, since only the product decides the weights
PRODUCT = "training.micro_batches_a_step"
PRODUCT_NAME = "micro-batches per optimizer step"


class SettingRow(NamedTuple):
    """One setting by its full name, as it is written in YAML; `default` is None for one that has none."""

    name: str
    value: str
    default: str | None

    @property
    def is_default(self) -> bool:
        return self.value == self.default


def setting_rows(settings: Mapping[str, Mapping[str, object]]) -> list[SettingRow]:
    """All settings in their order; directories, which a checkpoint does not record, are left out."""
    rows = []
    for section, values in settings.items():
        defaults = DEFAULTS.get(section, {})
        for key, value in values.items():
            default = _written(defaults[key]) if key in defaults else None
            name = f"{section}.{key}"
            if value is not None or default in (None, _written(None)):
                rows.append(SettingRow(PRODUCT_NAME if name == PRODUCT else name, _written(value), default))
    return rows


def _written(value: object) -> str:
    """A value as a line of YAML has it, without secrets in addresses."""
    return scrubbed(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
