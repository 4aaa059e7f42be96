"""Retention rules for checkpoints: only those that are complete elsewhere are removed, and never the newest."""

from collections.abc import Iterable
from pathlib import Path
from shutil import rmtree

from tasks.json_text import decode_json
from tasks.manifests import content_digest
from tasks.paths import CHECKPOINTS, COMPLETE, MANIFEST, TRAINER_STATE, checkpoint_folders
from tasks.settings import KeepRule
from tasks.storage.checkpoints.paths import CLAIM, checkpoints_of
from tasks.storage.checkpoints.staging import has_all_files, note_on
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import join, missing_files, sound_manifest

# content of a folder's claim while it is being emptied; the next call finishes what a kill has interrupted
REMOVED = "removed"


def steps_to_keep(steps: Iterable[int], rule: KeepRule, losses: dict[int, float]) -> set[int]:
    """The steps that a rule keeps, and always the newest; `losses` are validation losses by step."""
    known = sorted(set(steps))
    if not (rule.last or rule.every_steps or rule.best):
        return set(known)
    kept = set(known[-(rule.last or 1) :])
    if rule.every_steps:
        kept |= {step for step in known if step % rule.every_steps == 0}
    if rule.best and (scored := {step: loss for step in known if (loss := _loss_at(step, losses)) is not None}):
        kept.add(min(scored, key=lambda step: (scored[step], step)))
    return kept


def _loss_at(step: int, losses: dict[int, float]) -> float | None:
    """The last validation loss measured at or before a step."""
    before = [measured for measured in losses if measured <= step]
    return losses[max(before)] if before else None


def losses_of(trainer_state: str | None) -> dict[int, float]:
    """Validation losses by step, from the text of a trainer_state.json."""
    try:
        history = decode_json(trainer_state or "{}", allow_nan=True).get("log_history", [])
        return {int(entry["step"]): float(entry["eval_loss"]) for entry in history if "eval_loss" in entry}
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return {}


def thin_store(store: ObjectStore, run: str, rule: KeepRule) -> list[int]:
    """Remove checkpoints from the store that the rule does not keep; returns their steps.

    Incomplete checkpoints count neither as kept nor as removable.
    """
    if rule == KeepRule():
        return []
    for key in store.sizes_below(join(run, CHECKPOINTS)):
        if key.endswith(f"/{CLAIM}") and store.read_text(key) == REMOVED:
            _empty(store, key.removesuffix(f"/{CLAIM}"))
    complete = [path for path in checkpoints_of(store, run) if _is_complete(store, path.folder)]
    if not complete:
        return []
    losses = losses_of(store.read_text(join(complete[-1].folder, TRAINER_STATE)))
    kept = steps_to_keep((path.step for path in complete), rule, losses)
    removed = [path for path in complete if path.step not in kept]
    for path in removed:
        if store.create_text(join(path.folder, CLAIM), REMOVED):
            _empty(store, path.folder)
    return [path.step for path in removed]


def _is_complete(store: ObjectStore, folder: str) -> bool:
    manifest = sound_manifest(store, folder)
    return manifest is not None and not missing_files(store, folder, manifest)


def _empty(store: ObjectStore, folder: str) -> None:
    """Remove a claimed folder: its manifest first, so that it is never listed in part, and the claim last."""
    store.delete(join(folder, MANIFEST))
    for key in store.sizes_below(folder):
        if key != join(folder, CLAIM):
            store.delete(key)
    store.delete(join(folder, CLAIM))


def thin_local(staging: Path, store: ObjectStore, run: str, rule: KeepRule) -> list[int]:
    """Remove checkpoints from a trainer's folder that the rule does not keep and the store has; returns their steps."""
    here = {step: path for step, path in checkpoint_folders(staging.parent) if has_all_files(path)}
    if rule == KeepRule() or not here:
        return []
    state = here[max(here)] / TRAINER_STATE
    losses = losses_of(state.read_text(encoding="utf-8") if state.is_file() else None)
    kept = steps_to_keep(here, rule, losses)
    removed = [step for step in here if step not in kept and _is_stored(here[step], staging, store, run)]
    for step in removed:
        # its marker first: an interrupted removal leaves nothing that looks complete
        (here[step] / COMPLETE).unlink()
        rmtree(here[step])
    return sorted(removed)


def _is_stored(checkpoint: Path, staging: Path, store: ObjectStore, run: str) -> bool:
    """Whether the store has exactly this checkpoint, complete."""
    note = note_on(checkpoint, staging)
    if note is None or note.uri is None:
        return False
    for path in checkpoints_of(store, run):
        if join(store.uri, path.folder) == note.uri:
            manifest = sound_manifest(store, path.folder)
            return (
                manifest is not None
                and content_digest(manifest) == note.sha256
                and not missing_files(store, path.folder, manifest)
            )
    return False
