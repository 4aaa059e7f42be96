"""Datasets that are views of another one: its validation set, or a few images of each source, as the test set.

Sweep points and checkpoints are scored on a view, so that the test set is not used for selection.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tasks.data.set_files import set_paths
from tasks.errors import ConfigError
from tasks.files import digest_of, link_or_copy, read_json, write_json
from tasks.image_paths import image_key
from tasks.manifests import atomic_folder, content_digest, write_manifest
from tasks.paths import FILTERED_TEST_SET, TRAIN_SET
from tasks.record_reader import Record
from tasks.records import DatasetRef
from tasks.settings import ExperimentConfig
from tasks.sources import source_of


def view_validation(dataset: DatasetRef, out: Path) -> DatasetRef:
    """Write a dataset to `out` whose test set is the validation set; raises ConfigError if that is empty."""
    path = set_paths(dataset.path)["val"]
    # without a share for it there is no file
    records = read_json(path) if path.exists() else []
    if not records:
        raise ConfigError(
            "The validation set is empty: lower data.train or data.test, so that there are records for selection."
        )
    return _write_view(dataset, records, digest_of(["validation view", dataset.content]), out)


def view_few_images(dataset: DatasetRef, count: int, seed: int, out: Path) -> DatasetRef:
    """Write a dataset to `out` whose test set has only `count` images of each source."""
    records = choose_images(read_json(dataset.path / FILTERED_TEST_SET), count, seed)
    return _write_view(dataset, records, digest_of(["few images", dataset.content, count, seed]), out)


def choose_images(records: Sequence[Record], count: int, seed: int) -> list[Record]:
    """Keep all records of `count` images of each source, in order.

    An image's rank depends on its name and the seed alone: the same images are chosen whatever else the set holds, and
    a larger `count` keeps those of a smaller one.
    """
    images: dict[str, set[str]] = defaultdict(set)
    for record in records:
        images[source_of(record["image"])].add(image_key(record["image"]))
    chosen = {
        image
        for names in images.values()
        for image in sorted(names, key=lambda image: digest_of([seed, image]))[:count]
    }
    return [record for record in records if image_key(record["image"]) in chosen]


def _write_view(dataset: DatasetRef, records: Sequence[Record], fingerprint: str, out: Path) -> DatasetRef:
    with atomic_folder(out) as part:
        link_or_copy(dataset.path / TRAIN_SET, part / TRAIN_SET)
        write_json(part / FILTERED_TEST_SET, records)
        manifest = write_manifest(part, fingerprint)
    counts = {**dataset.records, "test": len(records)}
    return dataset.model_copy(update={"path": out, "sha256": content_digest(manifest), "records": counts})


def settings_for_few_images(config: ExperimentConfig) -> ExperimentConfig:
    """An experiment's settings for answering a few images with a base model and its adapter.

    One process answers, with an engine that takes adapters; no audit, which belongs to the whole test set.
    """
    alone = {"engine": config.inference.adapter_engine, "workers": 1, "ray_address": None, "equality_sample": 0}
    return config.model_copy(
        update={
            "inference": config.inference.model_copy(update=alone),
            "evaluation": config.evaluation.model_copy(update={"only_clean": False, "clean_beside": False}),
        }
    )
