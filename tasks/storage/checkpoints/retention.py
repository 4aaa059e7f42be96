"""Which checkpoints stay, by rule; what goes is whole elsewhere, and the newest always stays."""

from collections.abc import Iterable
from pathlib import Path
from shutil import rmtree

from tasks.json_text import decode_json
from tasks.manifests import content_digest
from tasks.paths import COMPLETE, MANIFEST, TRAINER_STATE
from tasks.settings import KeepRule
from tasks.storage.checkpoints.notes import note_on
from tasks.storage.checkpoints.paths import CLAIM, checkpoint_paths
from tasks.storage.checkpoints.staging import NAME, has_all_files
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import join, missing_files, sound_manifest

# what the claim on a place says while it is being emptied; a kill is made up for by the next one who looks
REMOVED = "removed"


def steps_to_keep(steps: Iterable[int], rule: KeepRule, losses: dict[int, float]) -> set[int]:
    """The steps that a rule keeps, always with the newest; `losses` are validation losses by step."""
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
    """The validation loss last taken at a step or before it."""
    before = [taken for taken in losses if taken <= step]
    return losses[max(before)] if before else None


def losses_of(trainer_state: str | None) -> dict[int, float]:
    """Validation losses by step, from the text of a trainer_state.json."""
    try:
        history = decode_json(trainer_state or "{}", allow_nan=True).get("log_history", [])
        return {int(entry["step"]): float(entry["eval_loss"]) for entry in history if "eval_loss" in entry}
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return {}


def thin_store(store: ObjectStore, run: str, rule: KeepRule) -> list[int]:
    """Remove from the store what the rule does not keep, as long as what it keeps is whole; the steps that went."""
    if rule == KeepRule():
        return []
    folder = join(run, "checkpoints")
    for key in store.sizes_below(folder):
        if key.endswith(f"/{CLAIM}") and store.read_text(key) == REMOVED:
            _empty(store, key.removesuffix(f"/{CLAIM}"))
    whole = [place for place in checkpoint_paths(store, folder) if _is_whole(store, place.folder)]
    if not whole:
        return []
    losses = losses_of(store.read_text(join(whole[-1].folder, TRAINER_STATE)))
    kept = steps_to_keep((place.step for place in whole), rule, losses)
    gone = [place for place in whole if place.step not in kept]
    for place in gone:
        if store.create_text(join(place.folder, CLAIM), REMOVED):
            _empty(store, place.folder)
    return [place.step for place in gone]


def _is_whole(store: ObjectStore, folder: str) -> bool:
    manifest = sound_manifest(store, folder)
    return manifest is not None and not missing_files(store, folder, manifest)


def _empty(store: ObjectStore, folder: str) -> None:
    """Remove a claimed place: its manifest first, so that it is never listed in part, and the claim last."""
    store.delete(join(folder, MANIFEST))
    for key in store.sizes_below(folder):
        if key != join(folder, CLAIM):
            store.delete(key)
    store.delete(join(folder, CLAIM))


def thin_local(staging: Path, store: ObjectStore, run: str, rule: KeepRule) -> list[int]:
    """Remove from a trainer's folder what the rule does not keep and the store has whole; the steps that went."""
    named = ((NAME.fullmatch(path.name), path) for path in staging.parent.glob("checkpoint-*"))
    here = {int(name[1]): path for name, path in named if name and not name[2] and has_all_files(path)}
    if rule == KeepRule() or not here:
        return []
    state = here[max(here)] / TRAINER_STATE
    losses = losses_of(state.read_text(encoding="utf-8") if state.is_file() else None)
    kept = steps_to_keep(here, rule, losses)
    gone = [step for step in here if step not in kept and _is_stored(here[step], staging, store, run)]
    for step in gone:
        # without its marker first: a removal that is cut short leaves nothing that looks whole
        (here[step] / COMPLETE).unlink()
        rmtree(here[step])
    return sorted(gone)


def _is_stored(checkpoint: Path, staging: Path, store: ObjectStore, run: str) -> bool:
    """Whether the store holds just this checkpoint, whole."""
    note = note_on(checkpoint, staging)
    if note is None or note.uri is None:
        return False
    for place in checkpoint_paths(store, join(run, "checkpoints")):
        if join(store.uri, place.folder) == note.uri:
            manifest = sound_manifest(store, place.folder)
            return (
                manifest is not None
                and content_digest(manifest) == note.sha256
                and not missing_files(store, place.folder, manifest)
            )
    return False
