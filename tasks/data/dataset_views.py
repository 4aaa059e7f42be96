"""The validation set where the test set is looked for, so that points and checkpoints are scored by it."""

from pathlib import Path

from tasks.errors import ConfigError
from tasks.files import digest_of, link_or_copy, read_json, write_json
from tasks.manifests import atomic_folder, content_digest, write_manifest
from tasks.paths import FILTERED_TEST_SET, TRAIN_SET
from tasks.records import DatasetRef

VALIDATION_SET = "data_val.json"


def view_validation(dataset: DatasetRef, out: Path) -> DatasetRef:
    """A dataset whose test set is the validation set of `dataset`; raises ConfigError where that is empty."""
    path = dataset.path / VALIDATION_SET
    # without a share for it there is none
    records = read_json(path) if path.exists() else []
    if not records:
        raise ConfigError(
            "The validation set is empty: lower data.train or data.test, so that there is something to choose by."
        )
    with atomic_folder(out) as part:
        link_or_copy(dataset.path / TRAIN_SET, part / TRAIN_SET)
        write_json(part / FILTERED_TEST_SET, records)
        manifest = write_manifest(part, digest_of(["validation view", dataset.content]))
    counts = {**dataset.records, "test": len(records)}
    return dataset.model_copy(update={"path": out, "sha256": content_digest(manifest), "records": counts})
