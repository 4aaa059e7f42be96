"""What a process needs to answer a test set, as it is passed to a child process."""

from pathlib import Path

from tasks.choices import Projector
from tasks.manifests import folder_digest
from tasks.records import Value
from tasks.settings import InferenceConfig, StoreConfig


class AnswerStore(Value):
    """The object store that caches answers for later runs."""

    uri: str
    config: StoreConfig = StoreConfig()


class PredictRequest(Value):
    """Everything needed to answer a test set.

    `model` is a directory; an engine without a model, such as that of a served one, does not read it.
    `projector` says whose projector is used with an adapter: the adapter's or the base's. `name` is what reports call
    the model, `subset_size` the records per subset. Without a `store` no answers are cached.
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
    store: AnswerStore | None = None

    def adapter_digest(self) -> str | None:
        """Digest of the adapter's files; None without an adapter."""
        return folder_digest(self.adapter) if self.adapter else None


class Share(Value):
    """What one of several processes answers: every `of`-th subset, starting at `number`, counted from 0."""

    number: int = 0
    of: int = 1


class PredictionSpec(Value):
    """How a run answers a test set with one of its models; `label` is what reports call the model."""

    label: str
    config: InferenceConfig
    subset_size: int
