"""The models of a run that its store holds: base, final model, best and newest checkpoint."""

from collections.abc import Collection
from typing import Literal

from tasks.errors import StoreError
from tasks.json_text import decode_json
from tasks.manifests import content_digest
from tasks.paths import MERGED, TRAINER_STATE
from tasks.records import ModelRef, Value
from tasks.storage.checkpoints.paths import CheckpointPath, checkpoints_of
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import join, pull_folder, read_remote_manifest, sound_manifest
from tasks.storage.runs import Run

Label = Literal["base", "final", "best", "newest"]


class StoredModel(Value):
    """A model of a run: `weights` identifies its weights; `step` is that of its checkpoint, None for a full model."""

    label: Label
    weights: str
    step: int | None = None


def find_stored(store: ObjectStore, run: str, base: ModelRef, labels: Collection[Label]) -> list[StoredModel]:
    """The models of a run with these labels that exist; raises StoreError if the store holds none but the base."""
    found = [StoredModel(label="base", weights=base.sha256)]
    if (merged := read_remote_manifest(store, join(run, MERGED))) is not None:
        found.append(StoredModel(label="final", weights=content_digest(merged)))
    places = [place for place in checkpoints_of(store, run) if sound_manifest(store, place.folder)]
    if places:
        newest = places[-1]
        best = _best_of(store, places)
        found += [_checkpoint(store, "best", best, base)] if best and best.step != newest.step else []
        found.append(_checkpoint(store, "newest", newest, base))
    if len(found) == 1:
        raise StoreError(f"{join(store.uri, run)} has no models: run the experiment first, or name another run.")
    return [model for model in found if model.label in labels]


def _checkpoint(store: ObjectStore, label: Label, place: CheckpointPath, base: ModelRef) -> StoredModel:
    manifest = read_remote_manifest(store, place.folder)
    assert manifest is not None, place.folder
    return StoredModel(label=label, weights=f"{content_digest(manifest)} on {base.sha256}", step=place.step)


def _best_of(store: ObjectStore, places: list[CheckpointPath]) -> CheckpointPath | None:
    """The checkpoint that the newest one's trainer_state.json names as the best; None if it no longer exists."""
    try:
        step = decode_json(store.read_text(join(places[-1].folder, TRAINER_STATE)) or "{}", allow_nan=True)[
            "best_global_step"
        ]
    except (KeyError, TypeError, ValueError):
        return None
    return next((place for place in reversed(places) if place.step == step), None)


def fetch_merged(run: Run, model: StoredModel, store: ObjectStore) -> ModelRef:
    """Fetch the final model of a run from the store."""
    folder = run.folder.fetched / f"{MERGED}-{model.weights[:12]}"
    manifest = pull_folder(store, join(run.store_name, MERGED), folder)
    return ModelRef(path=folder, sha256=content_digest(manifest))
