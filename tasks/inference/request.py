"""What answering a test set needs, as it travels to a child process."""

from pathlib import Path

from tasks.model.llava.tensor_names import Projector
from tasks.records import Value
from tasks.settings import InferenceConfig, StoreConfig


class KeptIn(Value):
    """The store that keeps answers for later runs."""

    uri: str
    config: StoreConfig = StoreConfig()


class PredictRequest(Value):
    """Everything that answering a test set needs; `name` is how reports call the model.

    `subset_size` is in records, `projector` whose is used with an adapter. Without a `store` no answers are kept for
    later runs.
    """

    model: Path
    model_sha256: str
    adapter: Path | None = None
    projector: Projector = "adapter"
    data: Path
    images: Path
    out: Path
    name: str
    config: InferenceConfig
    subset_size: int = 150
    store: KeptIn | None = None


class Share(Value):
    """Every `of`-th subset from `number` on, counted from 0: what one of several processes answers."""

    number: int = 0
    of: int = 1


class Asking(Value):
    """How a run asks one of its models, and what it calls it."""

    label: str
    config: InferenceConfig
    subset_size: int
