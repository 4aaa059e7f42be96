"""A few images of each source in the place of the whole test set, always the same ones."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.files import digest_of, link_or_copy, read_json, write_json
from tasks.image_paths import image_key
from tasks.manifests import atomic_folder, content_digest, write_manifest
from tasks.paths import FILTERED_TEST_SET, TRAIN_SET
from tasks.records import DatasetRef
from tasks.settings import ExperimentConfig
from tasks.sources import source_of

Record = Mapping[str, Any]


def choose_images(records: Sequence[Record], count: int, seed: int) -> list[Record]:
    """The records of `count` images a source, in their order, with all that is said of these images.

    An image's place in the draw depends on its name and the seed alone: whatever else is in the set, and in which
    order, the same ones are chosen, and a larger `count` keeps those of a smaller.
    """
    images: dict[str, set[str]] = defaultdict(set)
    for record in records:
        images[source_of(record["image"])].add(image_key(record["image"]))
    chosen = {
        image
        for of_source in images.values()
        for image in sorted(of_source, key=lambda image: digest_of([seed, image]))[:count]
    }
    return [record for record in records if image_key(record["image"]) in chosen]


def view_few_images(dataset: DatasetRef, count: int, seed: int, out: Path) -> DatasetRef:
    """A dataset whose test set is that of `dataset`, but of `count` images a source only."""
    records = choose_images(read_json(dataset.path / FILTERED_TEST_SET), count, seed)
    with atomic_folder(out) as part:
        link_or_copy(dataset.path / TRAIN_SET, part / TRAIN_SET)
        write_json(part / FILTERED_TEST_SET, records)
        manifest = write_manifest(part, digest_of(["few images", dataset.content, count, seed]))
    counts = {**dataset.records, "test": len(records)}
    return dataset.model_copy(update={"path": out, "sha256": content_digest(manifest), "records": counts})


def settings_for_few(config: ExperimentConfig) -> ExperimentConfig:
    """An experiment's settings for a few questions to a base with its adapter: by one process, with an engine that
    takes adapters; and without the audit, which is one of the test set.
    """
    alone = {"engine": config.inference.adapter_engine, "workers": 1, "ray_address": None, "equality_sample": 0}
    return config.model_copy(
        update={
            "inference": config.inference.model_copy(update=alone),
            "evaluation": config.evaluation.model_copy(update={"only_clean": False, "clean_beside": False}),
        }
    )
